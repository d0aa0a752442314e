//! YAML as Kubernetes reads it: spans, budgets, duplicate keys refused, and configuration files with helpful errors.
