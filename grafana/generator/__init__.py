"""The pages of Grafana, as code."""
