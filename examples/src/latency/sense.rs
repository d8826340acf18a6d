//! What no number of a case says by itself: whether it fits the others. What comes too late for the run would be left out
//! without a word, and a spike that is least above its most is no spike.

use jamsync_protocol::time::Span;
use toml::de::{DeTable, DeValue};

use super::{Case, recovery::BACK_WITHIN};
use crate::link::LinkConfig;

/// A number that does not fit the others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Misfit {
    /// Where it stands: the keys that lead to its table, its place in that list, and its own key.
    tables: Vec<&'static str>,
    item: Option<usize>,
    key: &'static str,
    /// What is wrong with it, and what is allowed.
    what: String,
}

impl Case {
    /// How much of what it does comes too late for its length, and is left out. None of a case that was read from a file,
    /// before the command line gives it another length.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.too_late().len()
    }

    /// What of `whole` is left out because this, the same, is shorter: a sentence each.
    #[must_use]
    pub fn left_out_of(&self, whole: &Self) -> Vec<String> {
        let [fit, all] = [self, whole].map(|case| case.edits.as_ref().map_or(0, |edits| edits.count));
        let (late, seconds) = (self.left_out(), self.seconds);
        let late = (late > 0)
            .then(|| format!("{late} of what is to happen comes too late for {seconds} s and is left out"));
        let edits = (fit < all).then(|| format!("{seconds} s have room for {fit} of the {all} edits"));
        late.into_iter().chain(edits).collect()
    }

    /// The first value that does not fit the others.
    pub(super) fn misfit(&self) -> Option<Misfit> {
        let ways = [("a_to_b", &self.path.a_to_b), ("b_to_a", &self.path.b_to_a)];
        let spikes = ways.into_iter().find_map(|(way, link)| spikes(way, link));
        let first = self.unfit_name().or_else(|| self.twice()).or(spikes);
        first.or_else(|| self.too_late().into_iter().next())
    }

    /// The name is part of file names.
    fn unfit_name(&self) -> Option<Misfit> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_fit = (1..=NAME_MAX).contains(&self.name.len()) && self.name.chars().all(fits);
        let shown: String = self.name.chars().take(NAME_MAX).collect();
        let what = format!("{shown:?} is not 1 to {NAME_MAX} letters, digits, - and _");
        (!is_fit).then_some(Misfit { tables: Vec::new(), item: None, key: "name", what })
    }

    /// What happens a second time to one to whom it may happen once.
    fn twice(&self) -> Option<Misfit> {
        let steps = again(self.clock_steps.iter().map(|step| step.of)).map(|item| ("clock_steps", item));
        let sleeps = || again(self.sleeps.iter().map(|sleep| sleep.of)).map(|item| ("sleeps", item));
        let kills = || again(self.kills.iter().map(|kill| kill.of)).map(|item| ("kills", item));
        let (list, item) = steps.or_else(sleeps).or_else(kills)?;
        let what = format!("the same again: `{list}` holds one for each at most");
        Some(Misfit { tables: vec![list], item: Some(item), key: "of", what })
    }

    fn too_late(&self) -> Vec<Misfit> {
        let seconds = f64::from(self.seconds);
        let back = BACK_WITHIN.as_secs_f64();
        // When each begins, and how long after that the run must still last.
        let actions = self.actions.iter().map(|action| (action.at_s, 0.0));
        let steps = self.clock_steps.iter().map(|step| (step.at_s, 0.0));
        let sleeps = self.sleeps.iter().map(|sleep| (sleep.at_s, 0.0));
        let kills = self.kills.iter().map(|kill| (kill.at_s, kill.away_s + back));
        let moves = self.new_addresses.iter().map(|new| (new.at_s, back));
        let edits = self.edits.iter().map(|edits| (edits.at_s, edits.need_s()));
        let lists: [(&str, Vec<(f64, f64)>); 6] = [
            ("actions", actions.collect()),
            ("clock_steps", steps.collect()),
            ("sleeps", sleeps.collect()),
            ("kills", kills.collect()),
            ("new_addresses", moves.collect()),
            ("edits", edits.collect()),
        ];
        let mut all = Vec::new();
        for (name, times) in lists {
            let late = times.into_iter().enumerate().filter(|(_, (at, needs))| at + needs >= seconds);
            all.extend(late.map(|(index, (at, needs))| Misfit {
                tables: vec![name],
                item: (name != "edits").then_some(index),
                key: "at_s",
                what: format!("{at} is too late: a run of {seconds} s has room below {} s", seconds - needs),
            }));
        }
        all
    }
}

impl Misfit {
    /// In words, with its line in the text of the case.
    pub(super) fn in_text(&self, text: &str) -> String {
        let line = self.line(text).map_or(String::new(), |line| format!("line {line}: "));
        format!("{line}{} = {}", self.key, self.what)
    }

    fn line(&self, text: &str) -> Option<usize> {
        let root = DeTable::parse(text).ok()?;
        let Some((first, further)) = self.tables.split_first() else {
            return line_of(text, root.get_ref().get(self.key)?.span().start);
        };
        let mut value: &DeValue<'_> = root.get_ref().get(*first)?.get_ref();
        for key in further {
            value = value.get(*key)?.get_ref();
        }
        if let Some(item) = self.item {
            value = value.get(item)?.get_ref();
        }
        line_of(text, value.get(self.key)?.span().start)
    }
}

/// The number of the line in which the byte `at` stands.
fn line_of(text: &str, at: usize) -> Option<usize> {
    Some(text.get(..at)?.matches('\n').count() + 1)
}

/// The place of the first that was there before.
fn again<T: PartialEq>(all: impl Iterator<Item = T>) -> Option<usize> {
    let all: Vec<T> = all.collect();
    all.iter().enumerate().position(|(index, one)| all.iter().take(index).any(|before| before == one))
}

fn spikes(way: &'static str, link: &LinkConfig) -> Option<Misfit> {
    let spikes = link.spikes.filter(|spikes| spikes.least > spikes.most)?;
    let millis = |span: Span| span.as_secs_f64() * 1e3;
    let what =
        format!("{} is outside 0 to {} ms, the spikes' most_ms", millis(spikes.least), millis(spikes.most));
    Some(Misfit { tables: vec!["path", way, "spikes"], item: None, key: "least_ms", what })
}

const NAME_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_by_its_line_and_with_what_is_allowed() {
        let head = "name = \"x\"\nabout = \"y\"\nseconds = 60\n";
        let second = |list: &str, more: &str| {
            let one = format!("[[{list}]]\nat_s = 9\n{more}\nof = \"b\"\n");
            one.repeat(2)
        };
        let [steps, sleeps, kills] =
            [("clock_steps", "by_s = 1"), ("sleeps", "for_s = 2"), ("kills", "away_s = 5")]
                .map(|(list, more)| second(list, more));
        for (text, wanted) in [
            (steps.as_str(), ["line 11: of = the same again", "`clock_steps` holds one for each"]),
            (&sleeps, ["line 11: of = the same again", "`sleeps` holds one for each"]),
            (&kills, ["line 11: of = the same again", "`kills` holds one for each"]),
            ("[[actions]]\nby = \"a\"\ndo = \"skip\"\nat_s = 60\n", ["line 7: at_s = 60 ", "below 60 s"]),
            ("[[clock_steps]]\nat_s = 61\nof = \"a\"\nby_s = 1\n", ["line 5: at_s = 61 ", "below 60 s"]),
            ("[[sleeps]]\nat_s = 99\nof = \"a\"\nfor_s = 2\n", ["line 5: at_s = 99 ", "below 60 s"]),
            ("[[kills]]\nof = \"a\"\nat_s = 30\naway_s = 25\n", ["line 6: at_s = 30 ", "below 30 s"]),
            (
                "[[new_addresses]]\nat_s = 9\n[[new_addresses]]\nat_s = 55\n",
                ["line 7: at_s = 55 ", "below 55 s"],
            ),
            ("[edits]\ncount = 100\nper_s = 2\nat_s = 12\n", ["line 7: at_s = 12 ", "below 9 s"]),
            (
                "[path.b_to_a]\ndelay_ms = 1\nspikes = { share = 0.1, least_ms = 9, most_ms = 8.5 }\n",
                ["line 6: least_ms = 9 ", "0 to 8.5 ms"],
            ),
        ] {
            let refused = Case::from_toml(&format!("{head}{text}")).unwrap_err().to_string();
            for part in wanted {
                assert!(refused.contains(part), "{text:?} is refused without {part:?}: {refused}");
            }
        }
    }

    #[test]
    fn a_name_that_is_no_part_of_a_file_name_is_refused_by_its_line() {
        for name in ["", "../x", "a b", &"x".repeat(9_000)] {
            let text = format!("about = \"y\"\n\nname = \"{name}\"\n");
            let refused = Case::from_toml(&text).unwrap_err().to_string();
            assert!(refused.starts_with("line 3: name = "), "{refused}");
            assert!(refused.ends_with("is not 1 to 40 letters, digits, - and _"), "{refused}");
            assert!(refused.len() < 120, "{refused}");
        }
    }

    #[test]
    fn a_case_that_is_cut_short_says_how_much_it_leaves_out() {
        let case = Case::built_in("suspend").expect("known");
        assert_eq!([case.left_out(), case.clone().lasting(Some(30)).left_out()], [0, 1]);
        let [told] = &case.clone().lasting(Some(30)).left_out_of(&case)[..] else { panic!("one sentence") };
        assert_eq!(told, "1 of what is to happen comes too late for 30 s and is left out");
        assert!(case.left_out_of(&case).is_empty());
    }

    #[test]
    fn a_case_that_is_cut_short_makes_as_many_edits_as_both_sides_can_settle() {
        let whole = Case::built_in("edits150").expect("known");
        let edits = |case: &Case| case.edits.as_ref().map(|edits| edits.count);
        assert_eq!(edits(&whole.clone().lasting(None)), Some(1_000));
        let short = whole.clone().lasting(Some(30));
        let made = short.edits.clone().expect("some fit");
        let ends = |count: u32| made.at_s + f64::from(count) / made.per_s + 1.0;
        assert!(ends(made.count) < 30.0 && ends(made.count + 1) >= 30.0, "{made:?}");
        assert_eq!(short.left_out(), 0);
        assert_eq!(
            short.left_out_of(&whole),
            [format!("30 s have room for {} of the 1000 edits", made.count)]
        );
        let mut late = whole;
        late.edits.as_mut().expect("edits").at_s = 29.0;
        assert_eq!(edits(&late.lasting(Some(30))), None);
    }
}
