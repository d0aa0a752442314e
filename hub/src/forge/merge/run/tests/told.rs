//! What stands in the pull request's own text.

use super::*;
use crate::forge::fake::{unwell, waits_for};

impl World {
    /// One round: the texts written into the pull request.
    async fn written(&mut self) -> Vec<String> {
        let done = self.taking.round(&Round::All, &mut self.memory).await;
        done.unwrap();
        let asked = self.forge.asked().into_iter();
        let own = asked.filter(|(line, _)| *line == format!("PATCH {REPO}/pulls/7"));
        own.map(|(_, body)| {
            assert_eq!(body["title"], "t");
            body["body"].as_str().unwrap().to_owned()
        })
        .collect()
    }

    /// Sets the text of the pull request at the forge.
    fn text(&self, text: &str) {
        let mut opened = pull("b");
        opened["body"] = json!(text);
        let list = json!([opened.clone()]);
        self.forge.set(&format!("GET {REPO}/pulls?"), 200, &list);
        self.forge.set(&format!("GET {REPO}/pulls/7"), 200, &opened);
    }
}

#[tokio::test]
async fn what_it_waits_for_stands_in_its_text_and_is_written_on_change_only() {
    let mut world = World::new().await;
    let reviews = format!("GET {REPO}/pulls/7/reviews");
    world.forge.set(&reviews, 200, &json!([]));
    let written = world.written().await;
    assert_eq!(written.len(), 1);
    let text = &written[0];
    let expected = "<!-- flotilla:promote:prod -->\n<!-- flotilla:waits:prod:approvals:bbbbbbbbbbbb -->\n\n\
                  **Waiting to merge:** 0 of 1 approval\n\n<!-- flotilla:end:prod -->\n\ntext";
    assert_eq!(text, expected);

    // The text is there: neither this process nor a restarted one writes it again.
    world.text(text);
    assert_eq!(world.written().await, Vec::<String>::new());
    world.memory = Memory::default();
    assert_eq!(world.written().await, Vec::<String>::new());

    // The command rewrites it, and a person adds a line meanwhile: both stay.
    let anew = "<!-- flotilla:promote:prod -->\nmoves more";
    world.text(anew);
    let with_line = format!("{anew}\nand mind the database");
    let mut whole = pull("b");
    whole["body"] = json!(with_line);
    world.forge.set(&format!("GET {REPO}/pulls/7"), 200, &whole);
    let written = world.written().await;
    assert!(
        written[0].ends_with("\n\nmoves more\nand mind the database"),
        "{written:?}"
    );

    // A change is written at the earliest a minute after the last write.
    let check =
        |name: &str| json!({"total_count": 1, "statuses": [{"context": name, "state": "failure"}]});
    let approval = review("ann", "b");
    world.forge.set(&reviews, 200, &json!([approval]));
    let status = format!("GET {REPO}/commits/{}/status", "b".repeat(40));
    world.forge.set(&status, 200, &check("build"));
    world.text(&written[0]);
    assert_eq!(world.written().await, Vec::<String>::new());
    assert_eq!(
        world.waits().await.unwrap().word,
        "check",
        "told elsewhere at once"
    );
    world.memory.told.forget();
    let written = world.written().await;
    assert!(
        written[0].contains("check build is not green"),
        "{written:?}"
    );
    assert!(!written[0].contains("approval"), "{written:?}");

    // The merge is written into the text.
    world.text(&written[0]);
    world.good();
    world.text(&written[0]);
    let written = world.written().await;
    assert_eq!(written.len(), 1);
    assert!(
        written[0].contains("**Merged** at bbbbbbbbbbbb, approved by ann."),
        "{written:?}"
    );
    assert_eq!(world.waits().await, None);
}

#[tokio::test]
async fn a_gate_and_a_merge_that_is_refused_are_told_in_the_text() {
    let mut world = World::new().await;
    let pause = Action::Pause(names().0);
    let paused = world.taking.handle.act(pause, "eve", "lunch <b>@all").await;
    paused.unwrap().unwrap();
    let written = world.written().await;
    assert!(
        written[0].contains("**Waiting to merge:** eve paused prod: lunch &lt;b&gt;"),
        "{written:?}"
    );
    assert!(!written[0].contains("@all"), "{written:?}");

    let mut world = World::new().await;
    let refs = format!("PATCH {REPO}/git/refs/heads/prod");
    world
        .forge
        .put(&refs, 403, "", r#"{"message":"protected branch"}"#);
    let written = world.written().await;
    assert!(
        written[0].contains("**Not merged, action required:**")
            && written[0].contains("protected branch"),
        "{written:?}"
    );
    // A failing forge gets no further calls, and its failure is not a change.
    for (status, body) in [(500, "<html>"), (429, "{}"), (200, "<html>")] {
        let mut world = World::new().await;
        world
            .forge
            .put(&format!("GET {REPO}/pulls/7/reviews"), status, "", body);
        assert_eq!(world.written().await, Vec::<String>::new(), "{status}");
    }
}

#[tokio::test]
async fn a_forge_that_takes_no_words_holds_up_no_promotion() {
    let limited = "x-ratelimit-remaining: 0\r\nretry-after: 1\r\n";
    for (status, headers, body) in unwell(limited) {
        let mut world = World::new().await;
        world.taking.sender = waits_for(status);
        let reviews = format!("GET {REPO}/pulls/7/reviews");
        world.forge.set(&reviews, 200, &json!([]));
        world
            .forge
            .put(&format!("PATCH {REPO}/pulls/7"), status, headers, body);
        assert_eq!(world.written().await.len(), 1, "{status}");
        assert_eq!(world.waits().await.unwrap().word, "approvals", "{status}");
        assert_eq!(
            world.written().await,
            Vec::<String>::new(),
            "{status}: too soon"
        );
        // This process keeps the delay that the forge asked for; a new one does not know it.
        world.taking.sender = Arc::new(Sender::new(Metrics::new()).unwrap());
        let approval = review("ann", "b");
        world.forge.set(&reviews, 200, &json!([approval]));
        assert_eq!(world.at_once().await, to_b(), "{status}");
        assert_eq!(
            world.log(AuditAction::PromotionRefused).await.len(),
            0,
            "{status}"
        );
    }
}

/// A text that may have been edited since the list was read is not overwritten with the listed one.
#[tokio::test]
async fn a_text_that_cannot_be_read_anew_is_left_alone() {
    let limited = "x-ratelimit-remaining: 0\r\nretry-after: 120\r\n";
    let mut world = World::new().await;
    let pause = Action::Pause(names().0);
    let paused = world.taking.handle.act(pause, "eve", "lunch").await;
    paused.unwrap().unwrap();
    for (status, headers, body) in unwell(limited) {
        world.memory = Memory::default();
        world.taking.sender = waits_for(status);
        world
            .forge
            .put(&format!("GET {REPO}/pulls/7"), status, headers, body);
        assert_eq!(world.written().await, Vec::<String>::new(), "{status}");
        assert_eq!(world.waits().await.unwrap().word, "held", "{status}");
        // A failing forge gets only the necessary calls, and the text is not tried again at once.
        let done = world.taking.round(&Round::All, &mut world.memory).await;
        done.unwrap();
        let asked = world.forge.asked();
        let anew = asked.iter().any(|(line, _)| line.contains("/pulls/7"));
        assert!(!anew && asked.len() <= 1, "{status}: {asked:?}");
    }
    // The pull request was closed meanwhile: its text is not updated.
    world.memory = Memory::default();
    let mut closed = pull("b");
    closed["state"] = json!("closed");
    world
        .forge
        .set(&format!("GET {REPO}/pulls/7"), 200, &closed);
    assert_eq!(world.written().await, Vec::<String>::new());
}
