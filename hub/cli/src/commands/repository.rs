//! Where repositories are.

use std::collections::BTreeMap;

use flotilla_proto::v1;
use flotilla_shared::revision::RepositoryUrl;

use crate::client::Client;
use crate::error::Error;

/// Returns the URL of each repository by its name, as the fleet file declares them. One that cannot be read as a URL
/// is left out.
pub(super) async fn urls(client: &Client) -> Result<BTreeMap<String, RepositoryUrl>, Error> {
    let request = client.request(v1::ListRepositoriesRequest {});
    let wire = client.api().list_repositories(request).await?.into_inner();
    let declared = wire.repositories.into_iter();
    let urls = declared.filter_map(|declared| Some((declared.name, declared.url.parse().ok()?)));
    Ok(urls.collect())
}

/// Returns the URL of one repository.
pub(super) async fn url(client: &Client, repository: &str) -> Result<RepositoryUrl, Error> {
    let mut urls = urls(client).await?;
    let found = urls.remove(repository);
    found.ok_or(Error::Answer("the repository's URL"))
}
