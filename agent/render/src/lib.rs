//! Renders plain YAML and Kustomize as a pure function of an in-memory Git tree.
