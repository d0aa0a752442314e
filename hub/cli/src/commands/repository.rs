//! Where repositories are.

use std::collections::BTreeMap;

use flotilla_proto::v1;
use flotilla_shared::revision::RepositoryUrl;

use crate::client::Client;
use crate::error::Error;

/// Returns the URL of each repository by its name, as the fleet file declares them.
pub(super) async fn urls(client: &Client) -> Result<BTreeMap<String, String>, Error> {
    let request = client.request(v1::ListRepositoriesRequest {});
    let wire = client.api().list_repositories(request).await?.into_inner();
    let declared = wire.repositories.into_iter();
    Ok(declared.map(|it| (it.name, it.url)).collect())
}

/// Returns the URL of one repository.
pub(super) async fn url(client: &Client, repository: &str) -> Result<RepositoryUrl, Error> {
    match urls(client).await?.get(repository) {
        Some(url) => Ok(url.parse()?),
        None => Err(Error::Answer("the repository's URL")),
    }
}
