//! Suggestions for misspelled words ("did you mean"): the most similar known word.

/// Returns the word of `known` that `word` was probably meant to be.
///
/// Case, `_` and `-` are ignored, so that the keywords of keepalived match ours
/// (`virtual_router_id`, `MASTER`), and so is a missing end (`advert_int`). Otherwise one letter in
/// three may be wrong.
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = letters(word);
    let allowed = (word.len() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| {
            let letters = letters(candidate);
            let begun = word.len() >= 4 && letters.starts_with(&word);
            (if begun { 1 } else { distance(&word, &letters) }, candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Lists `words` for a message: `"a", "b" or "c"`.
pub(crate) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => format!("\"{word}\""),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|word| format!("\"{word}\"")).collect();
            format!("{} or \"{last}\"", first.join(", "))
        }
    }
}

fn letters(word: &str) -> Vec<char> {
    word.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Returns the number of letters that must be changed, inserted, removed or swapped with their
/// neighbour to turn `a` into `b` (optimal string alignment distance).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let mut cost = (row[j] + usize::from(from != to))
                .min(row[j + 1] + 1)
                .min(next[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                let before: &Vec<usize> = &before;
                cost = cost.min(before[j - 1] + 1);
            }
            next.push(cost);
        }
        before = core::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestion_is_nearest_known_word() {
        let known = [
            "priority",
            "preempt",
            "virtualRouterId",
            "virtualAddresses",
            "advertInterval",
        ];
        for (word, meant) in [
            ("prioritty", Some("priority")),
            ("pirority", Some("priority")),
            ("Priority", Some("priority")),
            ("virtual_router_id", Some("virtualRouterId")),
            ("virtual_ipaddress", Some("virtualAddresses")),
            ("advert_int", Some("advertInterval")),
            ("nopreempt", Some("preempt")),
            ("garp_master_delay", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(suggest(word, known), meant, "{word}");
        }
    }

    #[test]
    fn swapped_neighbours_count_as_one_mistake() {
        let distance = |a: &str, b: &str| distance(&letters(a), &letters(b));
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn word_list_ends_with_or() {
        assert_eq!(one_of(&["a"]), r#""a""#);
        assert_eq!(one_of(&["a", "b", "c"]), r#""a", "b" or "c""#);
    }
}
