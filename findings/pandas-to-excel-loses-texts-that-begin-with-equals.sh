#!/usr/bin/env bash
# pandas 3.0.1, openpyxl 3.1.5, Python 3.11.
#
# DataFrame.to_excel writes a text that begins with "=" as a formula, not as a text, and no result beside it. Read back by
# pandas.read_excel, the cell is missing (NaN): a column of texts such as "=1+1 is two" or "=> see below" does not survive a
# round trip through .xlsx, without a warning. The same frame survives to_csv and to_json. A reader that takes formulas by
# their saved results (openpyxl with data_only=True) sees an empty cell there, and has to look for the formula to notice.
#
# Output seen:
#   pandas 3.0.1
#   written: ['=> see below', 'plain']
#   read: [nan, 'plain']
#   cell: f => see below
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet "pandas==3.0.1" "openpyxl==3.1.5"
cd "$folder"
"$folder/environment/bin/python" - > "$folder/output" 2> /dev/null <<'PYTHON'
import openpyxl
import pandas

frame = pandas.DataFrame({"text": ["=> see below", "plain"]})
frame.to_excel("frame.xlsx", index=False)
print("pandas", pandas.__version__)
print("written:", frame["text"].tolist())
print("read:", pandas.read_excel("frame.xlsx")["text"].tolist())
cell = openpyxl.load_workbook("frame.xlsx").active["A2"]
print("cell:", cell.data_type, cell.value)
PYTHON
diff - "$folder/output" <<'SEEN'
pandas 3.0.1
written: ['=> see below', 'plain']
read: [nan, 'plain']
cell: f => see below
SEEN
echo "as described"
