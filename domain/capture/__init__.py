"""The rules of trade capture: is a fill valid, what does it name, which book takes it, what does it become.

`validation` is the state machine and the rules of each regime, `instruments` resolves identifiers, `routing`
finds the book, `business_date` the day, `booking` builds what is booked, `lifecycle` decides between new,
duplicate, correction and waiting. All are pure; the stage `agents.trade_capture` supplies the state.
"""
