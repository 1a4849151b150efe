"""The pure rules of the books: no I/O, no clock, no Faust, no asyncio."""
