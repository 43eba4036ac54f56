"""Tables out of parquet: columns of starts, dates, numbers and text, and nothing nested."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bessvpp.price_files.columns import column_of
from bessvpp.price_files.tables import label
from bessvpp.price_files.workbook import (
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_FILE_BYTES,
    Grid,
    Sheet,
    refuse,
)

INDEX = "__index_level_0__"  # what pandas calls an index without a name
MAX_TEXT = 1000  # bytes of a cell


def _is_used(name: str, names: list[str]) -> bool:
    """Whether a column is known; an index without a name, where no other column is a start."""
    if name == INDEX:
        return not any(column_of(label(n)).role in ("stamp", "date") for n in names)
    return column_of(label(name)).role != ""


def parquet_sheet(
    raw: bytes, path: Path, is_used: Callable[[str, list[str]], bool] = _is_used
) -> Sheet:
    """The columns that are used, row by row; other columns are not even unpacked.

    Parameters
    ----------
    is_used : of a column's name and those of all; by default whether prices' files know it

    Raises
    ------
    DataError
        where it cannot be read, is too large, or has a column of a kind that no cell is.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        refuse(str(path), "is parquet, which needs pyarrow", "pip install 'bessvpp[forecast]'")
    try:
        metadata = pq.read_metadata(io.BytesIO(raw))
        if metadata.num_columns > MAX_COLUMNS:
            _refuse_size(path)
        schema = metadata.schema.to_arrow_schema()
        names = [name for name in schema.names if is_used(name, schema.names)]
        unused = [name for name in schema.names if name not in names]
        _check_size(metadata, len(names), path)
        texts = [name for name in names if _is_text(schema.field(name).type)]
        file = pq.ParquetFile(io.BytesIO(raw), read_dictionary=texts)
        grid: Grid = [["delivery_start" if name == INDEX else name for name in names]]
        for batch in file.iter_batches(batch_size=50_000, columns=names):
            columns = [_cells(batch.column(at), name, path) for at, name in enumerate(names)]
            grid += [list(row) for row in zip(*columns, strict=True)]
            if len(grid) * len(names) > MAX_CELLS:
                _refuse_size(path)
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError) as error:
        told = str(error).partition("\n")[0][:200]
        refuse(str(path), f"is no parquet file that can be read ({told})", "write it again")
    notes = tuple(f"column '{name}' is not used" for name in unused)
    return Sheet(str(path), grid, made_of=range(len(grid)), notes=notes)


def _check_size(metadata: Any, n_used: int, path: Path) -> None:
    """What the file's own directory tells, before anything is unpacked."""
    size = sum(
        metadata.row_group(group).column(at).total_uncompressed_size
        for group in range(min(metadata.num_row_groups, MAX_COLUMNS))
        for at in range(metadata.num_columns)
    )
    groups = metadata.num_row_groups * metadata.num_columns
    if (
        size > MAX_FILE_BYTES
        or metadata.num_rows * max(n_used, 1) > MAX_CELLS
        or groups > MAX_CELLS
    ):
        _refuse_size(path)


def _refuse_size(path: Path) -> None:
    refuse(str(path), f"has more than {MAX_CELLS:,} cells or too long ones", "split it")


def _is_text(kind: Any) -> bool:
    """Whether a column holds text; recent pandas writes the large kind."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _cells(column: Any, name: str, path: Path) -> list[Any]:
    """Values as cells: "" where there is none, starts with their offset."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        if _is_text(kind.value_type):
            longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
            if longest > MAX_TEXT:
                refuse(f"{path}, column '{name}'", f"has a text of {longest:,} bytes", "shorten it")
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", tz=kind.tz))
    elif pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or _is_text(kind)
        or pa.types.is_date32(kind)
        or pa.types.is_time(kind)
        or pa.types.is_null(kind)
    ):
        refuse(f"{path}, column '{name}'", f"holds values of kind {kind}", "give numbers or text")
    return ["" if cell is None else cell for cell in column.to_pylist()]
