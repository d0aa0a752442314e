//! The issuer's settings, which `flotilla login` asks for first.

use std::sync::Arc;

use flotilla_proto::v1;
use flotilla_proto::v1::login_service_server::LoginService;
use tonic::{Request, Response, Status};

use super::Context;

pub struct Login(pub Arc<Context>);

#[tonic::async_trait]
impl LoginService for Login {
    async fn get_login(
        &self,
        _: Request<v1::GetLoginRequest>,
    ) -> Result<Response<v1::GetLoginResponse>, Status> {
        let response = match self.0.access.oidc() {
            None => v1::GetLoginResponse::default(),
            Some(oidc) => {
                let config = oidc.config();
                v1::GetLoginResponse {
                    issuer: config.issuer.clone(),
                    client_id: config.client_id.clone(),
                    scopes: config.scopes.clone(),
                }
            }
        };
        Ok(Response::new(response))
    }
}
