"""Evidence: each promise about odd surroundings, replayed from outside on fresh processes and both databases.

`make evidence-trust` runs all of it; `python -m tests.evidence A1 C6 --backend sqlite` runs some.

A module of this package holds the checks of one subject. A check is a function that gets a `Stack` and yields facts:

    @check("C6", "A stray quote in a CSV swallows no row")
    def stray_quote(stack: Stack) -> Facts:
        with stack.web() as shop:
            answer = shop.post("/products/import", data=CSV, headers={"Content-Type": "text/csv"})
        yield Fact("rows added", answer.json()["added"], 2)

A fact is right when what was seen equals what is right, or when `right` is a function that says so of what was seen.
A check uses the web, the worker and the `flask` commands as people do, and never the code of the project.
"""
