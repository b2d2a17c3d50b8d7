"""The product: from pictures that load themselves to cut-outs with a report and a receipt."""
