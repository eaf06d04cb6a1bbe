//! Which moves may copy now, and what the others wait for. Nothing here asks, waits or looks at a clock.

/// How many moves may copy at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From one node.
    pub per_source: usize,
    /// To one node.
    pub per_target: usize,
    /// In all.
    pub at_once: usize,
}

/// A move that has not ended, as the queue sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number; the lower came first.
    pub id: i64,
    /// Alias or `.local`.
    pub source: String,
    /// Alias or `.local`.
    pub target: String,
    /// Whether it has begun. One that has is never stopped by a limit.
    pub begun: bool,
    /// Whether it has nothing to copy. Such a move costs nothing: it waits for nobody, and nobody waits for it.
    pub light: bool,
}

/// Whether a move may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It may.
    Now,
    /// It waits for that move, for the sake of that node; `None` when it is the number of moves in all.
    After(i64, Option<String>),
}

/// Each waiting move's turn. In order of their numbers: a move never overtakes another that wants the same nodes.
pub fn turns(moves: &[Entry], limits: Limits) -> Vec<(i64, Turn)> {
    let mut sorted: Vec<&Entry> = moves.iter().collect();
    sorted.sort_by_key(|entry| entry.id);
    // What counts against the limits: begun ones, then those that get their turn. Those that wait hold their place at their nodes.
    let mut busy: Vec<&Entry> = sorted.iter().copied().filter(|entry| entry.begun && !entry.light).collect();
    let mut ahead: Vec<&Entry> = Vec::new();
    let mut turns = Vec::new();
    for entry in sorted.into_iter().filter(|entry| !entry.begun) {
        if entry.light {
            turns.push((entry.id, Turn::Now));
            continue;
        }
        let full = |limit: usize, same: &dyn Fn(&Entry) -> bool| {
            let taken: Vec<&&Entry> = busy.iter().chain(&ahead).filter(|other| same(other)).collect();
            // The one that came first is likely to end first.
            (taken.len() >= limit.max(1)).then(|| taken.iter().map(|other| other.id).min()).flatten()
        };
        let node = |limit: usize, name: &str, same: &dyn Fn(&Entry) -> bool| {
            full(limit, same).map(|blocker| Turn::After(blocker, Some(name.to_owned())))
        };
        let waits = node(limits.per_target, &entry.target, &|other| other.target == entry.target)
            .or_else(|| node(limits.per_source, &entry.source, &|other| other.source == entry.source))
            .or_else(|| {
                (busy.len() >= limits.at_once.max(1))
                    .then(|| busy.iter().map(|other| other.id).min())
                    .flatten()
                    .map(|id| Turn::After(id, None))
            });
        match waits {
            Some(turn) => {
                ahead.push(entry);
                turns.push((entry.id, turn));
            }
            None => {
                busy.push(entry);
                turns.push((entry.id, Turn::Now));
            }
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { per_source: 3, per_target: 2, at_once: 4 };

    fn entry(id: i64, source: &str, target: &str, begun: bool) -> Entry {
        Entry { id, source: source.into(), target: target.into(), begun, light: false }
    }

    fn waits(blocker: i64, node: &str) -> Turn {
        Turn::After(blocker, Some(node.into()))
    }

    #[test]
    fn two_at_a_target_and_the_third_waits_for_the_first() {
        let moves = [entry(3, ".local", "m", false), entry(1, ".local", "m", true), entry(2, ".local", "m", false)];
        assert_eq!(turns(&moves, LIMITS), [(2, Turn::Now), (3, waits(1, "m"))]);
    }

    #[test]
    fn sources_and_the_whole_have_limits_too() {
        let moves = [
            entry(1, ".local", "a", true),
            entry(2, ".local", "a", true),
            entry(3, ".local", "b", false),
            entry(4, ".local", "c", false),
            entry(5, "x", ".local", false),
            entry(6, "y", "z", false),
        ];
        let found = turns(&moves, LIMITS);
        assert_eq!(found, [(3, Turn::Now), (4, waits(1, ".local")), (5, Turn::Now), (6, Turn::After(1, None))]);
    }

    #[test]
    fn nobody_overtakes_at_the_same_node() {
        // 3 waits at its target for 1; 4 wants the same target and waits behind it, though it came when there was room.
        let moves = [entry(1, "p", "m", true), entry(2, "q", "m", true), entry(3, "r", "m", false), entry(4, "s", "m", false)];
        assert_eq!(turns(&moves, LIMITS), [(3, waits(1, "m")), (4, waits(1, "m"))]);
    }

    #[test]
    fn a_move_with_nothing_to_copy_waits_for_nobody() {
        let mut moves = vec![entry(1, ".local", "m", true), entry(2, ".local", "m", true), entry(3, ".local", "m", false)];
        moves[2].light = true;
        assert_eq!(turns(&moves, LIMITS), [(3, Turn::Now)]);
        moves[0].light = true;
        moves[2].light = false;
        assert_eq!(turns(&moves, LIMITS), [(3, Turn::Now)], "and takes nobody's place");
    }

    #[test]
    fn whatever_the_limits_one_move_goes_on() {
        let none = Limits { per_source: 0, per_target: 0, at_once: 0 };
        assert_eq!(turns(&[entry(1, "a", "b", false)], none), [(1, Turn::Now)]);
    }
}
