"""The section `protection` of global.yaml: what statements, clients and data sources are protected by."""
