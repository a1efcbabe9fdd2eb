//! Suggestions for misspelled words ("did you mean"): the most similar known word.

use strsim::osa_distance;

/// Returns the word of `known` that `word` was probably meant to be.
///
/// Case, `_` and `-` are ignored, so that the keywords of keepalived match ours
/// (`virtual_router_id`, `MASTER`), and so is a missing end (`advert_int`). Otherwise one letter in
/// three may be wrong.
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = letters(word);
    let length = word.chars().count();
    let allowed = (length / 3).max(1);
    known
        .into_iter()
        .map(|candidate| {
            let letters = letters(candidate);
            let distance = if length >= 4 && letters.starts_with(&word) {
                1
            } else {
                // Two swapped neighbours are one mistake.
                osa_distance(&word, &letters)
            };
            (distance, candidate)
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

fn letters(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
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
    fn word_list_ends_with_or() {
        assert_eq!(one_of(&["a"]), r#""a""#);
        assert_eq!(one_of(&["a", "b", "c"]), r#""a", "b" or "c""#);
    }
}
