//! Routes: access, the page of each path, and forms.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use flotilla_shared::percent;

use super::answer::{DrawnPage, Page};
use super::doing::{ActOutcome, do_it};
use super::views::Age;
use super::{MAX_FORM, Site};
use crate::act::parse;
use crate::entrance::Reader;
use crate::filter::Filter;
use crate::security::Scheme;
use crate::{assets, security};

type Shared = State<Arc<Site>>;

pub(super) fn router(site: Arc<Site>, more: Router) -> Router {
    let pages = Router::new()
        .route("/", get(show))
        .route("/clusters", get(show))
        .route("/rollouts", get(show))
        .route("/audit", get(show))
        .route("/env/{name}", get(show))
        .route("/rollout/{name}", get(show))
        .route("/promote/{name}", get(show))
        .route("/plan/{name}", get(show))
        .route("/cluster/{name}", get(show))
        .route("/cluster/{name}/app/{application}", get(show))
        .route("/events", get(events))
        .route("/act", post(act))
        .route_layer(from_fn_with_state(Arc::clone(&site), enter))
        .with_state(Arc::clone(&site));
    Router::new()
        .merge(pages)
        .route("/assets/{name}", get(asset))
        .merge(more)
        .fallback(missing)
        .layer(from_fn_with_state(site, guard))
}

/// A plain text answer.
#[must_use]
pub fn plain(status: StatusCode, text: &'static str) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        text,
    )
        .into_response()
}

async fn missing() -> Response {
    plain(StatusCode::NOT_FOUND, "There is no such page.\n")
}

/// Checks the host of every request, and sets the security headers of every answer.
async fn guard(State(site): Shared, request: Request, next: Next) -> Response {
    // HTTP/2 has the host in the URI.
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request
            .headers()
            .get(header::HOST)
            .and_then(|value| value.to_str().ok()),
    };
    let mut response = match host.is_some_and(|host| site.entrance.is_ours(host)) {
        true => next.run(request).await,
        false => plain(
            StatusCode::MISDIRECTED_REQUEST,
            "This site is not served under that name.\n",
        ),
    };
    for (name, value) in security::HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    if site.entrance.scheme() == Scheme::Https {
        response.headers_mut().insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static(security::HSTS),
        );
    }
    response
}

/// Passes only readers with access.
async fn enter(State(site): Shared, mut request: Request, next: Next) -> Response {
    match site.entrance.enter(request.headers(), request.uri()).await {
        Ok(reader) => {
            request.extensions_mut().insert(reader);
            next.run(request).await
        }
        Err(response) => *response,
    }
}

/// Returns a field of a query.
pub(super) fn field(uri: &axum::http::Uri, name: &str) -> Option<String> {
    let Query(mut fields) = Query::<BTreeMap<String, String>>::try_from_uri(uri).ok()?;
    fields.remove(name)
}

/// Returns the page of a path and its query.
fn page_of(path: &str, query: &str) -> Option<Page> {
    let parts = path.split('/').skip(1).map(percent::decode);
    let parts: Vec<String> = parts.collect::<Option<_>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let fields = Query::<BTreeMap<String, String>>::try_from_uri(&uri(query)).ok();
    let field = |name: &str| {
        let Query(fields) = fields.as_ref()?;
        fields.get(name).cloned()
    };
    Some(match parts.as_slice() {
        [""] => Page::Home,
        ["clusters"] => Page::Clusters(Query::<Filter>::try_from_uri(&uri(query)).ok()?.0),
        ["rollouts"] => Page::Rollouts,
        ["audit"] => Page::Audit,
        ["env", name] => Page::Environment {
            name: (*name).to_owned(),
            group: field("group").unwrap_or_default(),
            open: field("open").unwrap_or_default(),
        },
        ["rollout", name] => Page::Rollout((*name).to_owned()),
        ["promote", name] => Page::Promote((*name).to_owned()),
        ["plan", id] => Page::Plan((*id).to_owned()),
        ["cluster", name] => Page::Cluster((*name).to_owned()),
        ["cluster", cluster, "app", application] => Page::Application {
            cluster: (*cluster).to_owned(),
            application: (*application).to_owned(),
            diff: field("diff").is_some(),
        },
        _ => return None,
    })
}

fn uri(query: &str) -> axum::http::Uri {
    format!("/?{query}").parse().unwrap_or_default()
}

async fn show(
    State(site): Shared,
    Extension(reader): Extension<Reader>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    let path = uri
        .path_and_query()
        .map_or("/", axum::http::uri::PathAndQuery::as_str);
    let Some(page) = page_of(uri.path(), query) else {
        return plain(StatusCode::BAD_REQUEST, "This page does not exist.\n");
    };
    let flash = site.flash(&reader.session);
    let drawn = site.draw(&reader, &page, path, flash, Age::New);
    let DrawnPage { status, html } = drawn.await;
    page_response(status, &headers, html)
}

/// HTML, compressed where the browser supports it.
#[must_use]
pub fn page_response(status: StatusCode, headers: &HeaderMap, html: String) -> Response {
    let takes = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok());
    let mut response = match takes.is_some_and(|value| value.contains("gzip")) {
        true => match compress(html.as_bytes()) {
            Ok(bytes) => {
                let mut response = Body::from(bytes).into_response();
                response
                    .headers_mut()
                    .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                response
            }
            Err(_) => html.into_response(),
        },
        false => html.into_response(),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

fn compress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

async fn asset(Path(name): Path<String>) -> Response {
    match assets::find(&name) {
        Some(asset) => (
            [
                (header::CONTENT_TYPE, asset.kind),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            asset.content.as_str(),
        )
            .into_response(),
        None => plain(
            StatusCode::NOT_FOUND,
            "There is no such file; reload the page.\n",
        ),
    }
}

async fn events(State(site): Shared, headers: HeaderMap, uri: axum::http::Uri) -> Response {
    let path = field(&uri, "page").unwrap_or_else(|| "/".to_owned());
    let path = security::way_back(&path).to_owned();
    let (plain_path, query) = path.split_once('?').unwrap_or((&path, ""));
    let Some(page) = page_of(plain_path, query) else {
        return plain(StatusCode::BAD_REQUEST, "This page does not exist.\n");
    };
    let Ok(place) = Arc::clone(&site.streams).try_acquire_owned() else {
        return plain(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many pages are open; close some.\n",
        );
    };
    let mut response = site.events(page, path, headers, place).into_response();
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

/// Reads the fields of a form of a page of this site, for the session that the page was drawn for.
///
/// # Errors
/// The answer where the form is rejected.
pub async fn form(
    request: Request,
    form_token: &str,
    scheme: Scheme,
) -> Result<BTreeMap<String, String>, Box<Response>> {
    let refuse = |status, text| Err(Box::new(plain(status, text)));
    let (parts, body) = request.into_parts();
    let word = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let host = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => word("host").unwrap_or_default(),
    };
    if !security::is_same_origin(word("sec-fetch-site"), word("origin"), host, scheme) {
        return refuse(
            StatusCode::FORBIDDEN,
            "This form was not sent from a page of this site.\n",
        );
    }
    let Ok(body) = axum::body::to_bytes(body, MAX_FORM).await else {
        return refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "The form is larger than 64 KiB.\n",
        );
    };
    let fields = std::str::from_utf8(&body).ok();
    let fields =
        fields.and_then(|body| Query::<BTreeMap<String, String>>::try_from_uri(&uri(body)).ok());
    let Some(Query(form)) = fields else {
        return refuse(StatusCode::BAD_REQUEST, "The form cannot be read.\n");
    };
    if !security::equal(form.get("token").map_or("", String::as_str), form_token) {
        return refuse(
            StatusCode::FORBIDDEN,
            "This form belongs to an older page; reload it.\n",
        );
    }
    Ok(form)
}

async fn act(
    State(site): Shared,
    Extension(reader): Extension<Reader>,
    request: Request,
) -> Response {
    let form = match form(request, &reader.form_token, site.entrance.scheme()).await {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let mut back = security::way_back(field("back")).to_owned();
    let told = match parse(&form) {
        Err(wrong) => format!("not done: {wrong}"),
        Ok(_) if !site.is_first(&reader.session, field("key")) => {
            "this form was already sent; it was carried out once".to_owned()
        }
        Ok(act) => match do_it(&reader.api, &act).await {
            Ok(ActOutcome { told, page }) => {
                back = page.unwrap_or(back);
                match told.is_empty() {
                    true => format!("{}: done", act.action.as_str()),
                    false => told,
                }
            }
            Err(error) => format!("not done: {}", flotilla_status::text(error.message())),
        },
    };
    site.leave(&reader.session, told);
    (StatusCode::SEE_OTHER, [(header::LOCATION, back)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::{Page, page_of};
    use crate::filter::Filter;

    #[test]
    fn paths_are_pages() {
        assert_eq!(page_of("/", ""), Some(Page::Home));
        assert_eq!(
            page_of("/env/prod", "group=region&open=eu"),
            Some(Page::Environment {
                name: "prod".to_owned(),
                group: "region".to_owned(),
                open: "eu".to_owned(),
            })
        );
        let filter = Filter {
            env: "prod".to_owned(),
            q: "a b".to_owned(),
            ..Filter::default()
        };
        assert_eq!(
            page_of("/clusters", "env=prod&q=a+b"),
            Some(Page::Clusters(filter))
        );
        assert_eq!(
            page_of("/cluster/a/app/b", "diff=1").map(|page| page.is_local()),
            Some(false)
        );
        for path in ["/x", "/env", "/env/a/b", "//", "/env/%zz"] {
            assert_eq!(page_of(path, ""), None, "{path}");
        }
        let plan = Page::Plan("a/b".to_owned());
        assert_eq!(page_of("/plan/a%2Fb", ""), Some(plan));
    }
}
