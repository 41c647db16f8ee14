"""What is sent to hurt: bodies, values of fields, of parameters and of headers."""

import base64
import gzip
import json
from collections.abc import Callable
from functools import cache
from typing import Any

MIB = 2**20
LONG = "x" * 50_000
Body = dict[str, Any]


@cache
def gzip_bomb() -> bytes:
    return gzip.compress(b"[" * 50 * MIB, 1)


def with_first(body: Body, raw: str) -> bytes:
    """A good body, but for raw JSON as the value of its first field."""
    first, *others = body
    rest = "".join(f",{json.dumps(name)}:{json.dumps(body[name])}" for name in others)
    return f'{{"{first}":{raw}{rest}}}'.encode("utf-8", "surrogatepass")


def as_json(body: Body) -> bytes:
    return json.dumps(body).encode()


NOT_JSON: dict[str, Callable[[Body], bytes]] = {
    "nothing": lambda body: b"",
    "blanks": lambda body: b" \n\t",
    "open arrays": lambda body: b"[" * 100_000,
    "arrays in arrays": lambda body: b"[" * 100_000 + b"]" * 100_000,
    "open objects": lambda body: b'{"a":' * 100_000,
    "objects in objects": lambda body: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "arrays in a field": lambda body: with_first(body, "[" * 100_000 + "]" * 100_000),
    "a number of 5000 digits": lambda body: b"9" * 5_000,
    "a field of 5000 digits": lambda body: with_first(body, "9" * 5_000),
    "a field of 500 000 digits": lambda body: with_first(body, "-" + "9" * 500_000),
    "NaN": lambda body: with_first(body, "NaN"),
    "Infinity": lambda body: with_first(body, "Infinity"),
    "-Infinity": lambda body: with_first(body, "-Infinity"),
    "cut off": lambda body: as_json(body)[:-1],
    "cut off in a text": lambda body: b'{"name":"' + b"x" * 500_000,
    "two documents": lambda body: as_json(body) * 2,
    "a comma too many": lambda body: as_json(body)[:-1] + b",}",
    "single quotes": lambda body: as_json(body).replace(b'"', b"'"),
    "a comment": lambda body: as_json(body) + b"// that is all",
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + as_json(body),
    "UTF-16": lambda body: json.dumps(body).encode("utf-16"),
    "UTF-16 without a mark": lambda body: json.dumps(body).encode("utf-16-le"),
    "UTF-32": lambda body: json.dumps(body).encode("utf-32"),
    "Latin-1": lambda body: with_first(body, '"é"').replace("é".encode(), b"\xe9"),
    "bytes that are no UTF-8": lambda body: b"\xff\xfe\xfd" * 1000,
    "an overlong slash": lambda body: with_first(body, '"@"').replace(b'"@"', b'"\xc0\xaf"'),
    "a raw half character": lambda body: with_first(body, '"\ud800"'),
    "a raw NUL": lambda body: with_first(body, '"\0"'),
    "raw line ends": lambda body: with_first(body, '"a\r\nb"'),
    "NUL in front": lambda body: b"\0" + as_json(body),
    "gzip": lambda body: gzip.compress(as_json(body)),
    "a gzip bomb": lambda body: gzip_bomb(),
    "hexadecimal": lambda body: with_first(body, "0x10"),
    "zeros in front": lambda body: with_first(body, "0010"),
    "an escape of nothing": lambda body: with_first(body, '"\\u12"'),
    "a form": lambda body: b"name=Lamp&description=Warm",
    "XML": lambda body: b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "YAML": lambda body: b"!!python/object/apply:os.system ['true']",
    "a pickle": lambda body: b"cos\nsystem\n(S'true'\ntR.",
    "a field twice": lambda body: b'{"' + next(iter(body)).encode() + b'":null,' + as_json(body)[1:],
    "a number beyond all bounds": lambda body: with_first(body, "1e400"),
}
NOT_FIELDS: dict[str, Callable[[Body], bytes]] = {
    "null": lambda body: b"null",
    "true": lambda body: b"true",
    "zero": lambda body: b"0",
    "a number of 4000 digits": lambda body: b"9" * 4_000,
    "a text": lambda body: b'"name"',
    "a long text": lambda body: b'"' + b"x" * 1_000_000 + b'"',
    "an empty array": lambda body: b"[]",
    "an array": lambda body: b"[" + as_json(body) + b"]",
    "an array of 300 000": lambda body: b"[" + b"0," * 300_000 + b"0]",
    "an unknown field": lambda body: as_json(body | {"x": 1}),
    "an unknown field of an empty name": lambda body: as_json(body | {"": 1}),
    "an unknown field of half a character": lambda body: as_json(body | {"\ud800": 1}),
    "an unknown field of NUL": lambda body: as_json(body | {"\0": 1}),
    "__proto__": lambda body: as_json(body | {"__proto__": {"role": "admin"}}),
    "__class__": lambda body: as_json(body | {"__class__": {"__init__": {"__globals__": 1}}}),
    "a long unknown name": lambda body: as_json(body | {"x" * 900_000: 1}),
    "5 000 unknown fields": lambda body: as_json(body | {f"x{n}": 1 for n in range(5_000)}),
    "unknown arrays, 900 deep": lambda body: as_json(body)[:-1] + b',"x":' + b"[" * 900 + b"]" * 900 + b"}",
}


CONTENT_TYPES = {
    "none": "",
    "text": "text/plain",
    "a form": "application/x-www-form-urlencoded",
    "parts": "multipart/form-data; boundary=x",
    "parts without a boundary": "multipart/form-data",
    "XML": "application/xml",
    "JSON lines": "application/jsonl",
    "two of them": "application/json, text/plain",
    "a slash": "/",
    "a long one": f"application/{LONG}",
    "a long parameter": f'text/plain; charset="{LONG}"',
    "many parameters": "text/plain" + ";a=b" * 12_000,
    "quotes": "text/plain; a=" + '"\\' * 20_000,
}
HARMLESS_BODIES: dict[str, Callable[[Body], bytes]] = {
    "blanks around": lambda body: b" " * 400_000 + as_json(body) + b"\n" * 400_000,
    "escapes for letters": lambda body: as_json(body).replace(b'"n', b'"\\u006e'),
}


# Raw JSON, by what a field takes.
FIELDS = {
    "text": {
        "50 KB": f'"{LONG}"',
        "500 KB of two bytes each": f'"{"é" * 250_000}"',
        "NUL": '"lamp\\u0000"',
        "half a character": '"lamp\\ud800"',
        "two halves the wrong way round": '"\\udc00\\ud800"',
        "a number": "1",
        "4000 digits": "9" * 4_000,
        "true": "true",
        "an array": '["lamp"]',
        "an object": '{"$gt":""}',
        "arrays, 900 deep": "[" * 900 + "]" * 900,
    },
    "number": {
        "negative": "-1",
        "10^30": str(10**30),
        "2^63": str(2**63),
        "4000 digits": "9" * 4_000,
        "1e308": "1e308",
        "true": "true",
        "a text": '"1"',
        "a text of digits": f'"{"9" * 4_400}"',
        "NaN in quotes": '"NaN"',
        "50 KB": f'"{LONG}"',
        "an array": "[1]",
        "an object": "{}",
    },
    "id": {
        "50 KB": f'"{LONG}"',
        "no UUID": '"1"',
        "half a character": '"\\ud800"',
        "NUL": '"\\u0000"',
        "a number": "1",
        "128 bits": str(2**128),
        "16 bytes": '"0123456789abcdef"',
        "an array": "[0,1,2,3,4,5]",
        "an object": "{}",
        "null": "null",
        "true": "true",
    },
}
FIELDS["enum"] = FIELDS["text"] | {"null": "null", "a name of Python's": '"__class__"', "in capitals": '"ADMIN"'}
FIELDS["boolean"] = FIELDS["text"] | {"a number": "2", "true": '"maybe"', "null": "null", "a fraction": "0.5"}


# What makes bad patterns take for ever, and good ones say no.
NAMES = [
    "a" * 79 + "!",
    "a-" * 39 + "!",
    "." * 80,
    "-_." * 26,
    "\u2024" * 80,
    "\ufdfa" * 80,
    "\u0300" * 80,
    "\u202e" * 80,
    "a@" * 40,
    " " * 80,
    "\n" * 80,
]
ADDRESSES = [
    "a" * 254,
    "@" * 254,
    "." * 254,
    '"' * 254,
    "(" * 254,
    "\\" * 254,
    "a@" + "a." * 126,
    "a@" + "a-" * 126,
    "a@" + "-" * 252,
    "a" * 64 + "@" + "a" * 189,
    "a." * 120 + "@example.com",
    "a@[" + "IPv6:" + ":" * 240 + "]",
    "a@" + "xn--" * 60 + ".example",
    "a@" + "\u0370" * 240 + ".example",
    "a@" + "\u00e9" * 240,
    "a@" + "1." * 120,
    '"' + "a " * 100 + '"@example.com',
    "a@example.com" + " " * 200,
    "a@b@" * 60,
    "<" * 100 + "a@example.com" + ">" * 100,
]


# Values in a query string as they are sent, by what a parameter takes.
_NOBODYS = {"50 KB": LONG, "NUL": "a%00b", "nothing": ""}
QUERIES = {
    "number": _NOBODYS
    | {
        "10^30": str(10**30),
        "5000 digits": "9" * 5_000,
        "2^63": str(2**63),
        "negative": "-1",
        "1e400": "1e400",
        "a fraction": "1.5",
        "NaN": "NaN",
        "Infinity": "Infinity",
        "hexadecimal": "0x10",
        "a list": "1,2",
        "no UTF-8": "%ff",
    },
    "decimal": _NOBODYS
    | {"10^30": str(10**30), "5000 digits": "9" * 5_000, "negative": "-1", "1e400": "1e400", "NaN": "NaN"}
    | {"Infinity": "Infinity", "hexadecimal": "0x10", "a list": "1,2", "no UTF-8": "%ff"},
    "boolean": _NOBODYS | {"maybe": "maybe", "a number": "2", "NaN": "NaN", "no UTF-8": "%ff", "deep": "%5B" * 2_000},
    "id": _NOBODYS
    | {"no UUID": "1", "a half character": "%ED%A0%80", "128 bits": str(2**128), "SQL": "'%20OR%201=1--"},
    "enum": _NOBODYS | {"a name of Python's": "__class__", "in capitals": "ADMIN", "two": "admin,customer"},
    "text": _NOBODYS,
    "sort": {
        "50 KB": LONG,
        "NUL": "a%00b",
        "a thousand names": "name," * 1_000,
        "thirty times one name": "name," * 29 + "name",
        "one name twice": "created_at,-created_at",
        "what is not shown": "password_hash",
        "a key": "id",
        "two minuses": "--created_at",
        "a minus": "-",
        "commas": ",,,",
        "SQL": "created_at;drop%20table%20users",
        "a function": "lower(username)",
        "another table's": "users.email",
        "a half character": "%ED%A0%80",
    },
}
UNKNOWN_PARAMETERS = {
    "a thousand": "&".join(f"x{number}={number}" for number in range(1_000)),
    "a long name": f"{LONG}=1",
    "a long value": f"x={LONG}",
    "percents": "%" * 50_000,
    "ands": "&" * 50_000 + "x",
    "brackets": "x[]" * 1_000 + "=1",
    "NUL": "%00=1",
    "no UTF-8": "%ff=1",
    "an operator": "page[$gt]=1",
}
# Cursors that no list has given out, as the JSON in them.
_UUID = '"00000000-0000-4000-8000-000000000000"'
_MOMENT = '"2026-01-02T03:04:05.678901Z"'
FORGED_CURSORS = [
    "null",
    "1",
    "true",
    '"text"',
    "{}",
    '{"a":1,"b":2}',
    "[]",
    "[[]]",
    "[null,null]",
    "[{},{}]",
    "[[],[]]",
    '["a"]',
    '["a","b","c"]',
    "[" + "1," * 900 + "1]",
    "[" * 1_400,
    "[" * 700 + "]" * 700,
    "[NaN,1]",
    "[1e400,1]",
    "[-1e400,1]",
    "[true,1]",
    "[1.5,1]",
    f"[{10**30},1]",
    f"[1,{2**63}]",
    f"[{'9' * 1_400},1]",
    f"[{'9' * 1_400}",
    f'["\\ud800",{_UUID}]',
    f'["\\u0000",{_UUID}]',
    f"[1,{_UUID}]",
    f"[{_MOMENT},1.0]",
    f'[{_MOMENT},"1"]',
    f'[{_MOMENT},"not-a-uuid"]',
    f"[{_MOMENT},{_UUID.upper().replace('0', 'A')}]",
    '["2026-02-30T00:00:00.000000Z",1]',
]
# No moments, but texts: good enough for a list that is sorted by a text.
WORDS_FOR_MOMENTS = [
    f'["2026-13-01T00:00:00.000000Z",{_UUID}]',
    f'["0000-01-01T00:00:00.000000Z",{_UUID}]',
    f'["infinity",{_UUID}]',
    f'["now",{_UUID}]',
    f'["\' OR 1=1 --",{_UUID}]',
]


def cursor_of(text: str) -> str:
    """A cursor as lists make them, of any text."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


CURSORS = {text[:40]: cursor_of(text) for text in FORGED_CURSORS} | {
    "50 KB": LONG,
    "as long as may be": "A" * 2_000,
    "one letter": "A",
    "no base64": "%F0%9F%92%A3",
    "an end": "=",
    "nothing": "",
    "NUL": "%00",
    "bytes": base64.urlsafe_b64encode(bytes(range(128, 256))).decode(),
}

# Headers that are not read, or only compared with something: whatever they hold, the answer is the same.
IGNORED_HEADERS = (
    *("Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cookie", "Expect", "Forwarded", "From"),
    *("If-Modified-Since", "If-Range", "If-Unmodified-Since", "Origin", "Prefer", "Range", "Referer", "User-Agent"),
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-ID"),
)
HEADER_VALUES = {
    "50 KB": LONG,
    "quotes": '"' * 50_000,
    "commas": "a," * 25_000,
    "semicolons": "a=b; " * 10_000,
    "blanks": "a" + " " * 50_000 + "a",
    "brackets": "(" * 25_000 + ")" * 25_000,
    "letters of Latin-1": "\xe9\xff" * 25_000,
    "ranges": "bytes=" + "0-0," * 12_000,
    "weights": "a;q=0.1," * 6_000,
}


def _request(*lines: str, body: bytes = b"", first: str = "POST /api/v1/auth/login HTTP/1.1") -> bytes:
    head = "\r\n".join([first, "Host: localhost", "Content-Type: application/json", *lines, "", ""])
    return head.encode("latin-1") + body


_LARGE = b" " * 10 * MIB
# Whole requests, as they go over the wire.
RAW_REQUESTS = {
    "10 MB": _request(f"Content-Length: {len(_LARGE)}", body=_LARGE),
    "10 MB in a chunk": _request("Transfer-Encoding: chunked", body=b"A00000\r\n" + _LARGE + b"\r\n0\r\n\r\n"),
    "a hundred thousand chunks": _request("Transfer-Encoding: chunked", body=b"1\r\n[\r\n" * 100_000 + b"0\r\n\r\n"),
    "a chunk of no size": _request("Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n0\r\n\r\n"),
    "a chunk of a negative size": _request("Transfer-Encoding: chunked", body=b"-1\r\n{}\r\n0\r\n\r\n"),
    "a chunk of an endless size": _request("Transfer-Encoding: chunked", body=b"F" * 50_000 + b"\r\n"),
    "a length and chunks": _request("Content-Length: 2", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "two lengths": _request("Content-Length: 2", "Content-Length: 3", body=b"{}"),
    "a length in two": _request("Content-Length: 2, 3", body=b"{}"),
    "a length with a sign": _request("Content-Length: +2", body=b"{}"),
    "a negative length": _request("Content-Length: -2", body=b"{}"),
    "a length of a thousand digits": _request(f"Content-Length: {'9' * 1_000}", body=b"{}"),
    "an unknown coding": _request("Transfer-Encoding: gzip, chunked, x", body=b"0\r\n\r\n"),
    "no body": _request("Content-Length: 0"),
    "a header of 50 KB": _request(f"X-Request-ID: {LONG}"),
    "a token of 50 KB": _request(f"Authorization: Bearer {LONG}"),
    "a thousand headers": _request(*(f"X-{number}: 1" for number in range(1_000))),
    "a name of a header of 50 KB": _request(f"{LONG}: 1"),
    "a blank in a name": _request("X Header: 1"),
    "a blank after a name": _request("Content-Length : 2", body=b"{}"),
    "a folded header": _request("X-Header: 1", " 2"),
    "NUL in a header": _request("X-Header: a\0b"),
    "a path of 50 KB": _request(first=f"GET /{LONG} HTTP/1.1"),
    "another path in a header": _request("SCRIPT_NAME: /nowhere", "PATH_INFO: /healthz"),
    "NUL in the path": _request(first="GET /api/v1/\0 HTTP/1.1"),
    "no path": _request(first="GET HTTP/1.1"),
    "a method of 50 KB": _request(first=f"{LONG} / HTTP/1.1"),
    "a method with a bracket": _request(first="GET( / HTTP/1.1"),
    "another protocol": _request(first="GET / HTTP/9.9"),
    "no protocol": b"GET /\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(1, 200)) + b"\r\n\r\n",
    "noise": bytes(range(128, 256)) * 100 + b"\r\n\r\n",
    "line ends": b"\r\n" * 10_000 + b"x\r\n\r\n",
}
