# Each verb is an ordinary command that people also type.
.PHONY: check test tiny slow gpu bench parity docs versions pictures screenshots aot aot36

check:     ; ruff check . && ruff format --check . && mypy
test:      ; pytest
tiny:      ; pytest tests/test_tiny.py
slow:      ; pytest -m slow
gpu:       ; pytest -m gpu
bench:     ; for name in engine plan opening adapters kernels sampling editor; do python benchmarks/$$name.py || exit 1; done
parity:    ; pip install -q -e ".[parity]" && pytest tests/parity
docs:      ; nodeflow docs --out docs/reference && python docs/editor_keys.py
versions:  ; python tests/test_versions.py
pictures:  ; python docs/pictures.py
screenshots: ; python docs/screenshots.py
aot:       ; python tests/kernels/aot.py
aot36:     ; pip install -q --target build/triton36 triton==3.6.0 "numpy<2.4" && PYTHONPATH=build/triton36 python tests/kernels/aot.py
