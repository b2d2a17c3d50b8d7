# Three commands from a clean clone: `make demo`, `make check` and `make test`. They need Python 3.10 or newer and make.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

.PHONY: demo check test soak lint-js clean

demo: $(VENV)/.demo
	$(RUN) -m rmbg_nodes demo -o demo-output

# While working: all but the tests of the whole proof.
check: $(VENV)/.test
	scripts/check $(RUN) -m "not soak and not whole"

test: $(VENV)/.test
	scripts/check $(RUN)

soak: $(VENV)/.test
	$(RUN) -m pytest -m soak

# The nodes' page; needs Node.js. Once it was here, `check` and `test` lint it, too.
lint-js:
	scripts/lint-js --install

$(VENV)/.demo: pyproject.toml constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[demo]"
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[test]"
	touch $@

clean:
	rm -rf $(VENV) .typing build demo-output
