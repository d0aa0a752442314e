//! An application as it is desired: its assignment, and everything else that decides its manifests.

use flotilla_render::Facts;
use flotilla_shared::approval::SignedApproval;
use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::id::{ApplicationName, ClusterName};

/// An application's assignment with everything else that decides its manifests.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredApplication {
    /// The application's name.
    pub name: ApplicationName,
    pub cluster: ClusterName,
    pub application: ApplicationAssignment,
    /// Signed approvals for clusters to go back.
    pub approvals: Vec<SignedApproval>,
    /// The cluster's facts, if the application asks for them: a label that changes causes a new render.
    pub facts: Option<Facts>,
}
