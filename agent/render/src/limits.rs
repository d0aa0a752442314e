//! Limits of a render.

/// Budgets of one render.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest single file, bytes.
    pub file_bytes: usize,
    /// All files together, bytes.
    pub total_bytes: usize,
    /// Most files read.
    pub files: usize,
    /// Most objects of a render.
    pub manifests: usize,
    /// Most directories above a file.
    pub depth: usize,
    /// Most values in all files of one render together.
    pub nodes: usize,
    /// Most bytes that all steps of one Kustomize render copy into objects.
    pub work_bytes: usize,
    /// Limits of each file's YAML.
    pub yaml: flotilla_yaml::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 8 << 20,
            total_bytes: 64 << 20,
            files: 10_000,
            manifests: 50_000,
            depth: 32,
            nodes: 1_000_000,
            work_bytes: 64 << 20,
            yaml: flotilla_yaml::Limits {
                nodes: 1_000_000,
                ..flotilla_yaml::Limits::default()
            },
        }
    }
}
