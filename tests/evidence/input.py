"""Input that is broken, or that can be read in two ways."""

import gzip

from tests.evidence.checks import Fact, Facts, check
from tests.evidence.stack import Shop, Stack

CSV, JSON_LINES = "text/csv", "application/x-ndjson"
UNCLOSED = 'name,price,description\r\nSw a,1,"unclosed\r\nSw b,2,ok\r\nSw c,3,"fine"\r\n'
INCHES = (
    'name,description,price\r\nPipe a,"5" pipe",100\r\nPipe b,"3 m "long"",200\r\nPipe c,"x"y,300\r\nPipe d,ok,4\r\n'
)


def send(shop: Shop, body: str | bytes, kind: str = CSV, query: str = "", **headers: str) -> tuple[int, dict]:
    """The status and the answer of an import."""
    content = body.encode() if isinstance(body, str) else body
    headers = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = shop.post(f"/products/import{query}", data=content, headers=headers)
    return answer.status_code, answer.json()


@check("C6", "A quote that is out of place costs its row and swallows no other")
def stray_quotes(stack: Stack) -> Facts:
    with stack.web() as shop:
        status, whole = send(shop, UNCLOSED, query="?all_or_nothing=true")
        yield Fact("all or nothing", (status, [row["line"] for row in whole["errors"]["rows"]]), (422, [2]))
        _, report = send(shop, UNCLOSED)
        yield Fact("unclosed", (report["added"], [row["line"] for row in report["errors"]]), (2, [2]))
        _, report = send(shop, INCHES)
        yield Fact("inches", (report["added"], [row["line"] for row in report["errors"]]), (1, [2, 3, 4]))


@check("C7", "A category without a slug is found by its id, or refused")
def category_by_id(stack: Stack) -> Facts:
    with stack.web() as shop:
        category = shop.post("/categories", json={"name": "Kettles"}).json()["id"]
        product = shop.add_product("Kettle", category_id=category)
        line = f'{{"id":"{product}","category":{{"id":"{category}","name":"Kettles"}}}}\n'
        yield Fact("by its id", send(shop, line, JSON_LINES)[1]["unchanged"], 1)
        yield Fact("by nothing", send(shop, line.replace('"id":"' + category + '",', ""), JSON_LINES)[1]["rejected"], 1)
        yield Fact("category kept", shop.get(f"/products/{product}").json()["category"]["id"], category)


@check("C8", "Charset and compression are honoured or refused, and 100.0 is 100")
def charsets(stack: Stack) -> Facts:
    with stack.web() as shop:
        text = "name,description\r\nCafé,d\r\n".encode("cp1252")
        yield Fact("windows-1252", send(shop, text, f"{CSV}; charset=windows-1252")[1]["added"], 1)
        yield Fact("unknown charset", send(shop, text, f"{CSV}; charset=klingon")[0], 415)
        yield Fact("gzip", send(shop, gzip.compress(UNCLOSED.encode()), Content_Encoding="gzip")[1]["added"], 2)
        line = '{"name":"Jf","description":"d","price":100.0,"stock":5.0,"rating":4}\n'
        yield Fact("floats", send(shop, line, JSON_LINES)[1]["added"], 1)
        body, headers = gzip.compress(b"{}"), {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        yield Fact("gzip elsewhere", shop.post("/products", data=body, headers=headers).status_code, 415)


@check("C9", "Numbers are ASCII digits")
def numbers(stack: Stack) -> Facts:
    with stack.web() as shop:
        for query in ("page=1_0", "min_price=1_000", "page=%EF%BC%91", "page=%2B1", "page=%201"):
            yield Fact(query, shop.get(f"/products?{query}").status_code, 422)
    yield Fact("a command", stack.flask("products", "add-samples", "1_0").returncode, 2)


@check("C10", "What a spreadsheet leaves behind is ignored, and what cannot be read is refused by the command")
def spreadsheets(stack: Stack) -> Facts:
    rows = "name,description,price,,\r\nTrail,d,100,,\r\n,,,,\r\n"
    added = "1 added, 0 updated, 0 unchanged, 0 rejected.\n"
    yield Fact("empty columns", stack.flask("products", "import", stack.write("a.csv", rows)).stdout, added)
    tabs = stack.write("b.tsv.gz", gzip.compress(b"name\tprice\nTabs\t5\n"))
    yield Fact(".tsv.gz", stack.flask("products", "import", tabs).stdout, added)
    for name, content in (
        ("c.xlsx", b"PK\x03\x04"),
        ("d.csv", b"PK\x03\x04"),
        ("e.json", b"[]"),
        ("f.txt", b"name\nx\n"),
    ):
        refused = stack.flask("products", "import", stack.write(name, content))
        yield Fact(
            name,
            (refused.returncode != 0, "Error: " in refused.stderr, "Traceback" in refused.stderr),
            (True, True, False),
        )


@check("E17", "What is kept for ever says that it depends on the origin")
def origins(stack: Stack) -> Facts:
    with stack.web(CORS_ORIGINS="https://shop.example") as shop:
        for path in ("/products", "//healthz", "/images/e262b9d9-687b-44d1-9202-6b0e85f84b4e-thumb"):
            yield Fact(path, shop.get(path).headers.get("Vary"), "Origin")


@check("G23", "A mirror that is ahead of the database starts over")
def ahead(stack: Stack) -> Facts:
    with stack.web() as shop:
        shop.add_product("Lamp")
        cursor = shop.get("/changes").json()[-1]["cursor"]
        yield Fact("its own", shop.get(f"/changes?cursor={cursor}").status_code, 200)
        for other in (999_999_999, cursor + 1, cursor + 1_000_000):
            answer = shop.get(f"/changes?cursor={other}")
            yield Fact(f"cursor {other}", (answer.status_code, answer.json()["code"]), (410, "cursor_gone"))


@check("J35", "No redirect leads where the Host header says")
def redirects(stack: Stack) -> Facts:
    with stack.web() as shop:
        for path in ("//api//v1/products", "////api/v1/products", "//docs//", "//"):
            answer = shop.get(path, headers={"Host": "evil.example"})
            yield Fact(path, "evil.example" in str(answer.headers), False)
