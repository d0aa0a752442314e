//! Promotions, on the wire.

use flotilla_proto::v1;
use flotilla_shared::id::EnvironmentName;
use flotilla_shared::revision::Commit;
use tonic::{Request, Response, Status};

use super::super::access::Need;
use super::{Operators, bad_name, unpromotable};
use crate::status;

pub(super) async fn preview_promotion(
    api: &Operators,
    request: Request<v1::PreviewPromotionRequest>,
) -> Result<Response<v1::PreviewPromotionResponse>, Status> {
    api.allow(&request, Need::See)?;
    let request = request.into_inner();
    let environment: EnvironmentName = request.environment.parse().map_err(|e| bad_name(&e))?;
    let commit: Option<Commit> = match request.commit.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|e| bad_name(&e))?),
    };
    let promotion = api
        .ask(move |fleet, now| {
            let only = Some(request.repository.as_str()).filter(|name| !name.is_empty());
            status::promotion(fleet, &environment, commit.as_ref(), only, now)
        })
        .await?
        .map_err(unpromotable)?;
    Ok(Response::new(promotion.shown().into()))
}
