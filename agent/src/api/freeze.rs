//! The local freeze (V13): an annotation on the agent's own namespace, or a key of its ConfigMap. The
//! hub has no way to lift it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::{Api, Error};

/// `flotilla.dev/freeze` on the namespace; its value is the reason.
const ANNOTATION: &str = "/metadata/annotations/flotilla.dev~1freeze";
/// The agent's ConfigMap, and its key `suspend`; its value is the reason.
const CONFIG_MAP: &str = "flotilla-agent";
/// Time for which an answer is cached: a freeze takes effect at most this much later.
const FRESH: Duration = Duration::from_secs(2);

/// Time and result of the last read.
type Answer = Option<(Instant, Option<String>)>;

/// Whether the owner froze this cluster.
#[derive(Clone)]
pub(crate) struct Freeze {
    api: Api,
    namespace: Arc<str>,
    last: Arc<Mutex<Answer>>,
}

impl Freeze {
    pub(crate) fn new(api: Api, namespace: &str) -> Self {
        Self {
            api,
            namespace: namespace.into(),
            last: Arc::default(),
        }
    }

    /// The owner's reason to have nothing written; none: writing is fine.
    pub(crate) async fn reason(&self) -> Option<String> {
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = match self.read().await {
            Ok(answer) => answer,
            // Whether the owner froze this agent cannot be read, so nothing is written.
            Err(error) => Some(format!("the agent's namespace cannot be read: {error}")),
        };
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn read(&self) -> Result<Option<String>, Error> {
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        let reason_at = |value: Option<Value>, pointer: &str| {
            let value = value?;
            let text = value.pointer(pointer)?.as_str()?.trim().to_owned();
            (!matches!(text.as_str(), "" | "false")).then_some(text)
        };
        if let Some(reason) = reason_at(self.api.find(&path).await?, ANNOTATION) {
            return Ok(Some(reason));
        }
        let path = format!("{path}/configmaps/{CONFIG_MAP}");
        Ok(reason_at(self.api.find(&path).await?, "/data/suspend"))
    }
}
