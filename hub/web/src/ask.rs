//! Calls to the hub, each with a time limit.

use std::time::Duration;

use flotilla_proto::v1;
use flotilla_status::Hub;

use crate::Api;

/// Time limit of one answer of the hub.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the hub about itself and the caller's rights.
///
/// # Errors
/// When it does not answer, or the caller lacks the right to read.
pub async fn hub(api: &Api) -> Result<Hub, tonic::Status> {
    let answer = ask(api, v1::GetHubRequest {}, |mut api, request| async move {
        api.get_hub(request).await
    })
    .await?;
    Ok(Hub::from(&answer))
}

/// Calls the hub, with the time limit [`PATIENCE`].
pub(crate) async fn ask<Q, A, F>(
    api: &Api,
    question: Q,
    call: impl FnOnce(Api, tonic::Request<Q>) -> F,
) -> Result<A, tonic::Status>
where
    F: Future<Output = Result<tonic::Response<A>, tonic::Status>>,
{
    ask_for(api, PATIENCE, question, call).await
}

/// Calls the hub, with this time limit.
pub(crate) async fn ask_for<Q, A, F>(
    api: &Api,
    patience: Duration,
    question: Q,
    call: impl FnOnce(Api, tonic::Request<Q>) -> F,
) -> Result<A, tonic::Status>
where
    F: Future<Output = Result<tonic::Response<A>, tonic::Status>>,
{
    let mut request = tonic::Request::new(question);
    request.set_timeout(patience);
    match tokio::time::timeout(patience, call(api.clone(), request)).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(tonic::Status::deadline_exceeded(format!(
            "the hub did not answer within {} seconds",
            patience.as_secs()
        ))),
    }
}
