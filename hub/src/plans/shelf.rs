//! Plans that are kept for a short time. Times are spans since the hub started to serve.

use std::time::Duration;

use super::Question;

/// Highest number of plans in progress: each lets agents fetch and render.
const MAX_RUNNING: usize = 4;
/// Highest number of kept plans, including those in progress.
const MAX_KEPT: usize = 12;
/// Time for which a plan is kept after its end.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Error: too many plans are in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_RUNNING} plans are already running; retry when one of them has finished")]
pub struct ShelfFull;

#[derive(Debug)]
struct Entry<T> {
    id: String,
    question: Question,
    patience: Duration,
    ended: Option<Duration>,
    plan: T,
}

/// Plans by id, oldest first.
#[derive(Debug)]
pub struct Shelf<T> {
    entries: Vec<Entry<T>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
        }
    }
}

impl<T: Clone> Shelf<T> {
    /// Returns a plan in progress for the same question, so that repeated questions share one plan.
    #[must_use]
    pub fn under_way(&self, question: &Question, patience: Duration) -> Option<(String, T)> {
        let is_it = |entry: &&Entry<T>| {
            entry.ended.is_none() && entry.question == *question && entry.patience >= patience
        };
        let found = self.entries.iter().find(is_it);
        found.map(|entry| (entry.id.clone(), entry.plan.clone()))
    }

    /// Adds a new plan.
    ///
    /// # Errors
    /// When too many are in progress.
    pub fn begin(
        &mut self,
        id: String,
        question: Question,
        patience: Duration,
        plan: T,
        now: Duration,
    ) -> Result<(), ShelfFull> {
        self.forget(now);
        let running = self.entries.iter().filter(|entry| entry.ended.is_none());
        if running.count() >= MAX_RUNNING {
            return Err(ShelfFull);
        }
        if self.entries.len() >= MAX_KEPT {
            let oldest = self.entries.iter().position(|entry| entry.ended.is_some());
            oldest.map(|index| self.entries.remove(index));
        }
        self.entries.push(Entry {
            id,
            question,
            patience,
            ended: None,
            plan,
        });
        Ok(())
    }

    /// Notes the end of a plan.
    pub fn end(&mut self, id: &str, now: Duration) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            entry.ended.get_or_insert(now);
        }
    }

    /// Returns a kept plan.
    pub fn get(&mut self, id: &str, now: Duration) -> Option<(Question, T)> {
        self.forget(now);
        let found = self.entries.iter().find(|entry| entry.id == id);
        found.map(|entry| (entry.question.clone(), entry.plan.clone()))
    }

    fn forget(&mut self, now: Duration) {
        let is_old = |ended: Duration| now.saturating_sub(ended) >= KEPT_FOR;
        self.entries
            .retain(|entry| !entry.ended.is_some_and(is_old));
    }
}
