"""Pieces of SQL that SQLite and PostgreSQL spell differently."""

from aggregator.sql.json_text import json_array, json_bool, json_object, json_one, json_text, json_time
from aggregator.sql.pieces import (
    id_parameter,
    in_code_points,
    is_past,
    microseconds,
    moment_of,
    moment_parameter,
    now_plus,
    sum_of_products,
    upsert,
)
from aggregator.sql.query import Query, Row, Select
from aggregator.sql.rows import Rows, insert_of, store

__all__ = [
    "Query",
    "Row",
    "Rows",
    "Select",
    "id_parameter",
    "in_code_points",
    "insert_of",
    "is_past",
    "json_array",
    "json_bool",
    "json_object",
    "json_one",
    "json_text",
    "json_time",
    "microseconds",
    "moment_of",
    "moment_parameter",
    "now_plus",
    "store",
    "sum_of_products",
    "upsert",
]
