"""What notebooks need: values as HTML, tables of alerts, charts, live views. Loaded when first used."""
