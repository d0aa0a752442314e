//! Where a repository is.

use flotilla_proto::v1;
use flotilla_shared::revision::RepositoryUrl;

use crate::client::Client;
use crate::error::Error;

/// Where a repository is, as the fleet file says.
pub(super) async fn url(client: &Client, repository: &str) -> Result<RepositoryUrl, Error> {
    let request = client.request(v1::ListRepositoriesRequest {});
    let wire = client.api().list_repositories(request).await?.into_inner();
    let found = wire
        .repositories
        .iter()
        .find(|declared| declared.name == repository);
    match found {
        Some(repository) => Ok(repository.url.parse()?),
        None => Err(Error::Answer("the repository's URL")),
    }
}
