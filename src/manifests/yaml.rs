//! YAML (and JSON, which is YAML) with the place of everything in it.

use std::collections::{BTreeMap, HashMap};

use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::Value;

use super::complaint::Place;
use super::scalar;

/// Most nodes that one file may hold, aliases expanded: a few lines of them could fill the memory.
const MAX_NODES: usize = 200_000;

/// A value and where it stands. No `Debug`: it may belong to a Secret.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

#[derive(Clone)]
pub(super) enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value. A key that is written twice is here twice.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

/// Why a document cannot be read.
pub(super) struct Problem {
    pub(super) place: Place,
    pub(super) message: String,
}

impl Node {
    /// The entries of a mapping; none for anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entry of a key. Of two, the last wins.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().rev().find(|entry| entry.key == key)
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The text, where it is a string.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether it is null: written as such, or left empty.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Value::Null))
    }

    /// The value without places.
    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Self::to_value).collect(),
            Content::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.value.to_value()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// The place of every path in it, keys rather than values where there are both.
    pub(super) fn places(&self) -> BTreeMap<String, Place> {
        let mut places = BTreeMap::from([(String::new(), self.place)]);
        self.note_places("", &mut places);
        places
    }

    fn note_places(&self, path: &str, places: &mut BTreeMap<String, Place>) {
        match &self.content {
            Content::Scalar(_) => {}
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = element(path, index);
                    item.note_places(&path, places);
                    places.insert(path, item.place);
                }
            }
            Content::Map(entries) => {
                for entry in entries {
                    let path = member(path, &entry.key);
                    entry.value.note_places(&path, places);
                    places.insert(path, entry.place);
                }
            }
        }
    }

    fn size(&self) -> usize {
        1 + match &self.content {
            Content::Scalar(_) => 0,
            Content::List(items) => items.iter().map(Self::size).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
        }
    }
}

/// The path of a key.
pub(super) fn member(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The path of an item.
pub(super) fn element(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// Reads every document of a stream. Documents after a broken one are read all the same.
pub(super) fn documents(text: &str) -> Vec<Result<Node, Problem>> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let parser = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { parser, anchors: HashMap::new(), nodes: 0 };
    let mut documents = Vec::new();
    loop {
        match reader.document() {
            Ok(Some(document)) => documents.push(Ok(document)),
            Ok(None) => return documents,
            Err(problem) => {
                documents.push(Err(problem));
                // After the limit nothing more is read.
                if reader.nodes > MAX_NODES
                    || !reader.parser.proceed_next_document().is_ok_and(|more| more)
                {
                    return documents;
                }
            }
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

type Read<T> = Result<T, Problem>;

impl<'a> Reader<'a> {
    fn next(&mut self) -> Read<Option<(Event<'a>, Span)>> {
        self.parser.next().transpose().map_err(|error| Problem {
            place: place(*error.marker()),
            message: format!("not valid YAML: {}", error.info()),
        })
    }

    /// The next document; `None` at the end of the stream.
    fn document(&mut self) -> Read<Option<Node>> {
        self.anchors.clear();
        let mut document = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamEnd => break,
                Event::DocumentEnd => return Ok(document),
                Event::StreamStart | Event::DocumentStart(..) => {}
                event => document = Some(self.node(event, span)?),
            }
        }
        Ok(document)
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Read<Node> {
        let place = place(span.start);
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values, aliases expanded");
            return Err(Problem { place, message });
        }
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (Content::Scalar(scalar_value(&text, style, tag.as_deref(), place)?), anchor)
            }
            Event::SequenceStart(_, anchor, _) => (Content::List(self.list()?), anchor),
            Event::MappingStart(_, anchor, _) => (Content::Map(self.map()?), anchor),
            Event::Alias(anchor) => (self.alias(anchor, place)?, 0),
            _ => return Err(Problem { place, message: "not valid YAML".to_owned() }),
        };
        let node = Node { place, content };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Read<Content> {
        let Some(node) = self.anchors.get(&anchor) else {
            let message = "an alias within the very value that it stands for".to_owned();
            return Err(Problem { place, message });
        };
        self.nodes += node.size();
        Ok(node.content.clone())
    }

    fn list(&mut self) -> Read<Vec<Node>> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            match event {
                Event::SequenceEnd => break,
                event => items.push(self.node(event, span)?),
            }
        }
        Ok(items)
    }

    fn map(&mut self) -> Read<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let is_merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, span)?;
            let Some((event, span)) = self.next()? else { break };
            let value = self.node(event, span)?;
            if is_merge {
                merged.extend(merge_entries(value)?);
            } else {
                entries.push(Entry { key: key_text(&key)?, place: key.place, value });
            }
        }
        for entry in merged {
            if !entries.iter().any(|own| own.key == entry.key) {
                entries.push(entry);
            }
        }
        Ok(entries)
    }
}

/// The entries that `<<` takes in: those of a mapping, or of a list of them.
fn merge_entries(value: Node) -> Read<Vec<Entry>> {
    match value.content {
        Content::Map(entries) => Ok(entries),
        Content::List(items) => items.into_iter().try_fold(Vec::new(), |mut all, item| {
            all.extend(merge_entries(item)?);
            Ok(all)
        }),
        Content::Scalar(_) => {
            let message = "<< merges mappings only".to_owned();
            Err(Problem { place: value.place, message })
        }
    }
}

fn key_text(key: &Node) -> Read<String> {
    match &key.content {
        Content::Scalar(Value::String(text)) => Ok(text.clone()),
        Content::Scalar(value @ (Value::Bool(_) | Value::Number(_))) => Ok(value.to_string()),
        _ => Err(Problem { place: key.place, message: "a key must be a string".to_owned() }),
    }
}

fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Read<Value> {
    match tag.and_then(Tag::core_suffix) {
        Some("str") => return Ok(Value::from(text)),
        Some("binary") => {
            let message = "the tag !!binary is not read: give base64 under data".to_owned();
            return Err(Problem { place, message });
        }
        _ if style != ScalarStyle::Plain => return Ok(Value::from(text)),
        _ => {}
    }
    scalar::resolve(text).ok_or_else(|| Problem {
        place,
        message: "not a finite number, which is all that JSON knows".to_owned(),
    })
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use serde_json::json;

    use super::*;

    fn values(text: &str) -> Vec<Result<Value, (usize, String)>> {
        documents(text)
            .into_iter()
            .map(|d| d.map(|n| n.to_value()).map_err(|p| (p.place.line, p.message)))
            .collect()
    }

    #[test]
    fn every_document_is_read_even_after_a_broken_one() {
        let read = values("a: 1\n---\n\nb: [\n---\nc: 'yes'\nd: yes\n...\n");
        assert_eq!(read.len(), 3, "{read:?}");
        assert_eq!(read[0], Ok(json!({"a": 1})));
        let (line, message) = read[1].clone().unwrap_err();
        assert!((4..=5).contains(&line) && message.starts_with("not valid YAML: "), "{read:?}");
        assert_eq!(read[2], Ok(json!({"c": "yes", "d": true})));
    }

    #[test]
    fn aliases_and_merges_are_expanded() {
        let read = values("x: &a {b: c, d: e}\nv:\n  <<: *a\n  b: z\nw: *a\n");
        let expected = json!({"x": {"b": "c", "d": "e"}, "v": {"b": "z", "d": "e"}, "w": {"b": "c", "d": "e"}});
        assert_eq!(read, [Ok(expected)]);
    }

    #[test]
    fn json_is_read_too_with_tabs_and_without_spaces() {
        assert_eq!(
            values("{\n\t\"a\":[1,true,null],\n\t\"b\\/\":\"\\u00e9\"\n}\n"),
            [Ok(json!({"a": [1, true, null], "b/": "é"}))]
        );
    }

    #[test]
    fn places_are_those_of_keys_and_items() {
        let text = "a:\n  b: |\n    x\n    y\n  c:\n  - 1\n  - {d: 2}\n";
        let node = documents(text).remove(0).ok().unwrap();
        let places = node.places();
        let line = |path: &str| places[path].line;
        assert_eq!(
            [line("a"), line("a.b"), line("a.c"), line("a.c[1]"), line("a.c[1].d")],
            [1, 2, 5, 7, 7]
        );
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let alias = format!("*a{}", level - 1);
            let items = vec![alias; 10].join(", ");
            writeln!(text, "a{level}: &a{level} [{items}]").unwrap();
        }
        let read = values(&text);
        assert!(read[0].as_ref().unwrap_err().1.contains("aliases expanded"), "{}", read.len());
    }

    #[test]
    fn what_no_manifest_can_mean_is_refused_with_its_line() {
        for (text, says) in [
            ("a: 1\n? [b]\n: c\n", "a key must be a string"),
            ("a: 1\n~: c\n", "a key must be a string"),
            ("a: 1\nb: .inf\n", "finite"),
            ("a: 1\nb: &x [*x]\n", "alias"),
            ("a: 1\nb: *nowhere\n", "not valid YAML"),
            ("a: 1\n<<: 2\n", "merges mappings"),
        ] {
            let (line, message) = values(text)[0].clone().unwrap_err();
            assert!(line == 2 && message.contains(says), "{text}: {line}: {message}");
        }
    }
}
