"""Column files: one `.npy` array a column, appended to while converting, mapped into memory when read."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from svsim.errors import StoreError

__all__ = ["HEADER_BYTES", "ColumnTable", "TableWriter", "column_path", "iter_chunks"]

HEADER_BYTES = 128
"""numpy pads the header of a one-dimensional array to this, whatever its length, so that it can be written last."""


def column_path(folder: Path, name: str) -> Path:
    """File of a column in its table's folder."""
    return folder / f"{name}.npy"


def _header(dtype: np.dtype[Any], rows: int) -> bytes:
    buffer = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (rows,)}
    np.lib.format.write_array_header_1_0(buffer, description)
    header = buffer.getvalue()
    assert len(header) == HEADER_BYTES, "numpy changed the size of its header"
    return header


class TableWriter:
    """Appends blocks of rows to the columns of one table; a context manager, which closes the files in any case.

    Args:
        folder: Where the column files go; made if missing.
        dtypes: Type of each column, in the order in which `append` may name them.
    """

    def __init__(self, folder: Path, dtypes: Mapping[str, npt.DTypeLike]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.dtypes = {name: np.dtype(dtype) for name, dtype in dtypes.items()}
        self.rows = dict.fromkeys(dtypes, 0)
        with contextlib.ExitStack() as opened:
            self._files = {name: opened.enter_context(column_path(folder, name).open("wb")) for name in dtypes}
            for file in self._files.values():
                file.write(bytes(HEADER_BYTES))
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Of a table that failed nothing is kept, so it does not matter what the last flush says.
        with contextlib.suppress(OSError):
            self._opened.close()

    def append(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """Append one block to the named columns."""
        for name, values in columns.items():
            self._files[name].write(np.ascontiguousarray(values, dtype=self.dtypes[name]).data)
            self.rows[name] += len(values)

    def close(self) -> dict[str, Any]:
        """Write the headers; returns what the manifest says of the table."""
        lengths = set(self.rows.values())
        assert len(lengths) == 1, f"columns of one table differ in length: {self.rows}"
        for name, file in self._files.items():
            file.seek(0)
            file.write(_header(self.dtypes[name], self.rows[name]))
        self._opened.close()
        return {"rows": lengths.pop(), "columns": {name: dtype.str for name, dtype in self.dtypes.items()}}


class ColumnTable(Mapping[str, "npt.NDArray[Any]"]):
    """Columns of one table, mapped when first asked for and shared between processes by the page cache.

    Args:
        folder: Folder of the column files.
        rows: Number of rows by the manifest.
        dtypes: Type of each column by the manifest.
    """

    def __init__(self, folder: Path, rows: int, dtypes: Mapping[str, str]) -> None:
        self.folder = folder
        self.rows = rows
        self._dtypes = {name: np.dtype(text) for name, text in dtypes.items()}
        self._maps: dict[str, npt.NDArray[Any]] = {}

    def check_sizes(self) -> None:
        """Compare each file's size with the manifest, without reading it.

        Raises:
            StoreError: A file is missing or has another size.
        """
        for name, dtype in self._dtypes.items():
            path = column_path(self.folder, name)
            expected = HEADER_BYTES + self.rows * dtype.itemsize
            try:
                found = path.stat().st_size
            except OSError as error:
                raise StoreError(
                    f"expected a column file, found {error.strerror}", where=str(path), remedy="prepare the store again"
                ) from error
            if found != expected:
                raise StoreError(
                    f"expected {expected:,} bytes, found {found:,}: the column is truncated or foreign",
                    where=str(path),
                    remedy="prepare the store again",
                )

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if name not in self._dtypes:
            raise KeyError(name)
        if name not in self._maps:
            if self.rows:
                self._maps[name] = np.memmap(
                    column_path(self.folder, name),
                    dtype=self._dtypes[name],
                    mode="r",
                    offset=HEADER_BYTES,
                    shape=(self.rows,),
                ).view(np.ndarray)
            else:
                self._maps[name] = np.empty(0, dtype=self._dtypes[name])
        return self._maps[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._dtypes)

    def __len__(self) -> int:
        return len(self._dtypes)


def iter_chunks(
    folder: Path, dtypes: Mapping[str, npt.DTypeLike], rows: int, size: int
) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Read columns chunk by chunk with plain reads: mapped pages would count as this process's memory."""
    with contextlib.ExitStack() as opened:
        files = {name: opened.enter_context(column_path(folder, name).open("rb")) for name in dtypes}
        for file in files.values():
            file.seek(HEADER_BYTES)
        for start in range(0, rows, size):
            count = min(size, rows - start)
            yield {name: np.fromfile(file, dtype=np.dtype(dtypes[name]), count=count) for name, file in files.items()}
