# Each verb is an ordinary command that people also type.
.PHONY: check test tiny slow gpu bench docs versions pictures

check:     ; ruff check . && ruff format --check . && mypy
test:      ; pytest
tiny:      ; pytest tests/test_tiny.py
slow:      ; pytest -m slow
gpu:       ; pytest -m gpu
bench:     ; python benchmarks/engine.py
docs:      ; nodeflow docs --out docs/reference
versions:  ; python tests/test_versions.py
pictures:  ; python docs/pictures.py
