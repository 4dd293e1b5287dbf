"""Reads Parquet files of KuaiRand's columns, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from svsim.data.schema import Column, check_header, in_range
from svsim.data.source import Block, Source
from svsim.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["parquet_blocks"]

READ_BYTES = 1 << 24
BLOCK_ROWS = 1 << 17


def parquet_blocks(source: Source) -> Iterator[Block]:
    """A file's columns block by block; fills in its bytes and its hash."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = str(source.path)
    try:
        for data in _file_bytes(source.path):
            source.digest.update(data)
        file = pq.ParquetFile(source.path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"expected a Parquet file, found {_first_line(error)}", where=where) from error
    with file:
        check_header(file.schema_arrow.names, source.schema, where)
        size, rows = source.path.stat().st_size, max(file.metadata.num_rows, 1)
        done = 0
        batches = file.iter_batches(BLOCK_ROWS, columns=[column.name for column in source.schema])
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                raise DataError(f"expected a Parquet file, found {_first_line(error)}", where=where) from error
            if batch is None:
                return
            if batch.num_rows:
                yield {
                    column.name: _parquet_column(batch.column(column.name), column, where, done)
                    for column in source.schema
                }
            done += batch.num_rows
            source.bytes = size * done // rows


def _parquet_column(array: pa.Array, column: Column, where: str, done: int) -> npt.NDArray[Any] | pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    place = f"{where}, column {column.name}"
    try:
        if column.kind == "text":
            if pa.types.is_dictionary(array.type):
                array = array.dictionary_decode()
            if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
                raise DataError(f"expected text, found {array.type}", where=place)
            return pc.fill_null(array.cast(pa.string()), "").dictionary_encode()
        if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
            raise DataError(f"expected numbers, found {array.type}", where=place)
        values = array.cast(pa.float64(), safe=False) if column.kind == "float" else array.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise DataError(f"expected {column.expectation}, found {_first_line(error)}", where=place) from error
    if column.kind == "int" and values.null_count:
        row = int(np.flatnonzero(np.asarray(values.is_null()))[0]) + done + 1
        raise DataError(f"expected {column.expectation}, found nothing", where=f"{place}, row {row}")
    numbers = np.asarray(values.to_numpy(zero_copy_only=False))
    outside = np.flatnonzero(~in_range(numbers, column)) if len(numbers) else numbers
    if len(outside):
        raise DataError(
            f"expected {column.expectation}, found {numbers[outside[0]]}",
            where=f"{place}, row {int(outside[0]) + done + 1}",
        )
    return numbers


def _file_bytes(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            yield data


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
