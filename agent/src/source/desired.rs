//! An application as it is desired: its assignment, and what else decides over its manifests.

use flotilla_render::Facts;
use flotilla_shared::approval::SignedApproval;
use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::id::{ApplicationName, ClusterName};

/// An application's assignment with what else decides over its manifests.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredApplication {
    /// The application's name.
    pub name: ApplicationName,
    pub cluster: ClusterName,
    pub application: ApplicationAssignment,
    /// What people signed so that clusters may go back.
    pub approvals: Vec<SignedApproval>,
    /// The cluster's facts, where the application asks for them: a label that changes renders anew.
    pub facts: Option<Facts>,
}
