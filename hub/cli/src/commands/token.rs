//! `token`.

use flotilla_proto::v1;
use flotilla_status::{NewToken, Token};
use jiff::Timestamp;

use super::labels;
use crate::args::TokenCommand;
use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;
use crate::render;

pub(super) async fn run(
    client: &Client,
    command: TokenCommand,
    printer: &Printer,
) -> Result<(), Error> {
    match command {
        TokenCommand::Create {
            cluster,
            place,
            lifetime,
            auto_accept,
            output,
        } => {
            let created = create(
                client,
                v1::CreateTokenRequest {
                    cluster: cluster.map(|name| name.to_string()).unwrap_or_default(),
                    environment: place
                        .environment
                        .map(|name| name.to_string())
                        .unwrap_or_default(),
                    labels: labels(place.labels),
                    lifetime_seconds: u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX),
                    auto_accept,
                },
            )
            .await?;
            if output.output.is_structured() {
                return printer.value(output.output, &created);
            }
            show(&created, printer)
        }
        TokenCommand::List { output } => {
            let request = client.request(v1::ListTokensRequest {});
            let wire = client.api().list_tokens(request).await?.into_inner();
            let tokens: Vec<Token> = wire.tokens.iter().map(Token::from).collect();
            if output.output.is_structured() {
                return printer.value(output.output, &tokens);
            }
            printer.out(&render::tokens(&tokens, printer.paint, Timestamp::now()))
        }
        TokenCommand::Revoke { id } => {
            let request = client.request(v1::RevokeTokenRequest { id: id.clone() });
            client.api().revoke_token(request).await?;
            printer.say(&format!("token {id} was revoked"));
            Ok(())
        }
    }
}

/// Creates a token.
pub(super) async fn create(
    client: &Client,
    request: v1::CreateTokenRequest,
) -> Result<NewToken, Error> {
    let request = client.request(request);
    let response = client.api().create_token(request).await?.into_inner();
    if response.token.is_empty() {
        return Err(Error::Answer("the token"));
    }
    Ok(NewToken::from(&response))
}

fn show(created: &NewToken, printer: &Printer) -> Result<(), Error> {
    // Only the token goes to stdout, so that it can be piped into a file or a Secret.
    printer.out(&format!("{}\n", created.token))?;
    let status = &created.status;
    let ends = status.expires_at.map_or("unknown".to_owned(), |end| {
        end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    });
    printer.say(&format!(
        "token {} can be used once, until {ends}; it is not shown again",
        status.id
    ));
    Ok(())
}
