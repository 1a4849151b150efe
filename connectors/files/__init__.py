"""Files as people have them: opened whatever packs them, read as rows, and turned into canonical fills.

`source` opens them within bounds, `rows` reads CSV, JSON and JSON Lines as rows, `fields` reads what a value
says, `canonical` makes fills of rows and rows of fills, `faults` says what is wrong with them and where.
"""
