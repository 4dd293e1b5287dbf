"""Reads source files block by block: fast where they are as they should be, exact about where they are not.

A block of whole lines goes to pyarrow's parser with every column's type given. What that refuses is read again leniently
(integral floats such as `3.0` in integer columns are fine), and what that refuses too is searched line by line for the
first fault, so that the message names file, line and column.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from svsim.data.ahead import ahead
from svsim.data.faults import first_fault
from svsim.data.parquet import parquet_blocks
from svsim.data.schema import Column, check_header, in_range
from svsim.data.source import Block, Progress, Source
from svsim.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_blocks"]

BLOCK_BYTES = 1 << 24
LONGEST_LINE = 1 << 20


def read_blocks(source: Source, progress: Progress | None = None) -> Iterator[Block]:
    """Read a file's columns block by block.

    Args:
        source: The file; its `rows`, `bytes` and `sha256` are filled in.
        progress: Called with the bytes read since the last call.

    Raises:
        DataError: The file is not what its schema says, with file, line and column.
    """
    blocks = parquet_blocks(source) if source.path.suffix == ".parquet" else _csv_blocks(source)
    seen = 0
    for block in ahead(blocks):
        source.rows += len(next(iter(block.values())))
        if progress is not None:
            progress(source.bytes - seen)
            seen = source.bytes
        yield block
    source.sha256 = source.digest.hexdigest()
    if not source.rows:
        raise DataError("expected rows, found only a header", where=str(source.path))


# --- CSV -------------------------------------------------------------------------------------------------------------


def _csv_blocks(source: Source) -> Iterator[Block]:
    header: list[str] | None = None
    line = 1
    for data in ahead(_line_blocks(source)):
        text = data
        if header is None:
            header, text = _split_header(text, source)
            line += 1
        lines = text.count(b"\n") + (not text.endswith(b"\n")) if text else 0
        if lines:
            block = _parse(text, header, source.schema, source.path, line, lines)
            if len(next(iter(block.values()))):
                yield block
        line += lines
    if header is None:
        raise DataError("expected a header and rows, found an empty file", where=str(source.path))


def _line_blocks(source: Source) -> Iterator[bytes]:
    """Blocks of whole lines that end in newlines only, without byte-order mark; hashes what it reads."""
    where = str(source.path)
    rest = b""
    first = True
    try:
        file = source.path.open("rb")
    except OSError as error:
        raise DataError(f"could not read: {error.strerror}", where=where) from error
    with file:
        while True:
            try:
                data = file.read(BLOCK_BYTES)
            except OSError as error:
                raise DataError(f"could not read: {error.strerror}", where=where) from error
            if not data:
                break
            source.digest.update(data)
            source.bytes += len(data)
            if first:
                if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise DataError("expected UTF-8 text, found UTF-16", where=where, remedy="save it as UTF-8")
                data = data.removeprefix(codecs.BOM_UTF8)
                first = False
            data = rest + data
            rest = b""
            if b"\r" in data:
                if data.endswith(b"\r"):
                    data, rest = data[:-1], b"\r"
                data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            cut = data.rfind(b"\n") + 1
            rest = data[cut:] + rest
            if len(rest) > LONGEST_LINE:
                raise DataError(
                    f"expected lines of CSV text, found one of over {LONGEST_LINE:,} bytes",
                    where=where,
                    remedy="is this a CSV file?",
                )
            if cut:
                yield data[:cut]
    rest = rest.replace(b"\r", b"\n")
    if rest:
        yield rest


def _split_header(data: bytes, source: Source) -> tuple[list[str], bytes]:
    line, _, rest = data.partition(b"\n")
    where = f"{source.path}, line 1"
    if b"\0" in line:
        raise DataError("expected UTF-8 text, found NUL bytes", where=where, remedy="is this a CSV file?")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError("expected UTF-8 text, found other bytes", where=where, remedy="is this a CSV file?") from error
    try:
        cells = next(csv.reader([text]), [])
    except csv.Error as error:
        raise DataError(f"expected a header, found {error}", where=where, remedy="is this a CSV file?") from error
    header = [name.strip() for name in cells]
    check_header(header, source.schema, where)
    return header, rest


def _parse(text: bytes, header: list[str], schema: Sequence[Column], path: Path, line: int, lines: int) -> Block:
    """Parse `lines` lines by pyarrow, leniently if need be; `line` is the number of the first."""
    import pyarrow as pa

    # pyarrow takes 0x1F for an integer.
    for strict in (True, False) if b"x" not in text and b"X" not in text else (False,):
        with contextlib.suppress(pa.ArrowInvalid, pa.ArrowKeyError, _Refused):
            if b"\0" in text:
                break
            table = _arrow(text, header, schema, strict)
            if table.num_rows != lines and table.num_rows != _filled_lines(text):
                break
            block = {column.name: _convert(table.column(column.name), column) for column in schema}
            _check_ranges(block, schema)
            return block
    raise first_fault(text, header, schema, path, line)


class _Refused(Exception):
    """A block holds something that its schema does not allow."""


def _arrow(text: bytes, header: list[str], schema: Sequence[Column], strict: bool) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    types = {"float": pa.float64(), "text": pa.dictionary(pa.int32(), pa.string())}
    return arrow_csv.read_csv(
        pa.BufferReader(text),
        read_options=arrow_csv.ReadOptions(column_names=header, block_size=1 << 20),
        parse_options=arrow_csv.ParseOptions(quote_char='"' if b'"' in text else False),
        convert_options=arrow_csv.ConvertOptions(
            column_types={
                column.name: types.get(column.kind) or (_integer_type(column) if strict else pa.string())
                for column in schema
            },
            include_columns=[column.name for column in schema],
            null_values=[""],
            strings_can_be_null=False,
        ),
    )


def _integer_type(column: Column) -> pa.DataType:
    """The narrowest type that holds a column's range: what is narrow is parsed, copied and checked faster."""
    import pyarrow as pa

    for dtype, kind in ((np.int8, pa.int8()), (np.int16, pa.int16()), (np.int32, pa.int32())):
        limits = np.iinfo(dtype)
        if limits.min <= column.low and column.high <= limits.max:
            return kind
    return pa.int64()


def _filled_lines(text: bytes) -> int:
    """Lines that are not blank."""
    return sum(1 for line in text.split(b"\n") if line)


def _convert(column: pa.ChunkedArray, schema: Column) -> npt.NDArray[Any] | pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if schema.kind == "text":
        array = column.unify_dictionaries().combine_chunks()
        return array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    if schema.kind == "float":
        return np.asarray(column.to_numpy())
    if pa.types.is_string(column.type):
        column = pc.replace_substring_regex(pc.utf8_trim_whitespace(column), r"^([+-]?[0-9]+)\.0*$", r"\1")
        column = pc.replace_substring_regex(column, r"^\+([0-9]+)$", r"\1")
        if not pc.all(pc.match_substring_regex(column, r"^-?[0-9]+$")).as_py():
            raise _Refused
        column = column.cast(pa.int64())
    if column.null_count:
        raise _Refused
    return np.asarray(column.to_numpy())


def _check_ranges(block: Block, schema: Sequence[Column]) -> None:
    for column in schema:
        values = block[column.name]
        checked = column.kind == "float" or (column.kind == "int" and column.bounded)
        if checked and len(values) and not in_range(np.asarray(values), column).all():
            raise _Refused
