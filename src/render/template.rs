//! Templates of targets: Jinja as far as it makes text of names, and no further.
//!
//! Tenants write them, and the operator runs them in its own memory. Fuel bounds how many steps a
//! template takes, not how much it holds: a few lines of `set` and `~` double a value until
//! nothing is left. So what reads a template lets through names, filters and conditions only
//! (ADR 0016). Nothing of it can grow faster than the text is long, and every name and filter is
//! known before a token is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use minijinja::machinery::{ast, parse};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use secrecy::ExposeSecret;

use super::filters::{self, FILTERS};
use super::limited::Limited;
use super::shape::Place;
use super::{LARGEST_SECRET, Shown, Times};
use crate::api::annotations::format_time;
use crate::error::{Error, Reason, nearest};

/// Steps that a template may take. It has no loops: this is never reached, whatever it says.
const FUEL: u64 = 50_000;
/// Longest text of a template.
const LONGEST_TEXT: usize = 8192;
/// How often a template may join values by `~`; text beside text needs none.
const JOINS: usize = 16;
/// What may be asked of a value.
const TESTS: [&str; 2] = ["defined", "undefined"];
/// What a template may name, beside `outputs.NAME`.
const NAMES: [&str; 8] = [
    ACCESS_TOKEN,
    "token_type",
    "expires_at",
    "issued_at",
    "refresh_at",
    "name",
    "namespace",
    "secretName",
];
const ACCESS_TOKEN: &str = "access_token";
const OUTPUTS: &str = "outputs";

/// A template that was read.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// Where it stands.
    place: String,
    text: String,
    /// What it names, and in which line.
    used: Vec<(Name, usize)>,
}

/// What a template may name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Of(&'static str),
    Output(String),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(name) => f.write_str(name),
            Self::Output(name) => write!(f, "{OUTPUTS}.{name}"),
        }
    }
}

/// What is known of the names where a template stands.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// The outputs of the provider's document, where that is known.
    pub(super) outputs: Option<&'a BTreeSet<&'a str>>,
    /// Whether the token may stand there.
    pub(super) token: bool,
}

/// The values of a template's names.
pub(super) struct Context {
    present: BTreeMap<&'static str, String>,
    outputs: BTreeMap<String, String>,
}

impl Context {
    /// What is known of a token that has left.
    pub(super) fn without_token(times: Times, place: Place<'_>) -> Self {
        let present = BTreeMap::from([
            ("expires_at", format_time(times.expires_at)),
            ("issued_at", format_time(times.issued_at)),
            ("refresh_at", format_time(times.refresh_at)),
            ("name", place.name.to_owned()),
            ("namespace", place.namespace.to_owned()),
            ("secretName", place.secret_name.to_owned()),
        ]);
        Self { present, outputs: BTreeMap::new() }
    }

    pub(super) fn new(shown: &Shown, place: Place<'_>) -> Self {
        let Self { mut present, .. } = Self::without_token(shown.times, place);
        present.insert(ACCESS_TOKEN, shown.access_token.expose_secret().to_owned());
        present.extend(shown.token_type.clone().map(|token_type| ("token_type", token_type)));
        let outputs = shown.outputs.iter();
        let outputs = outputs.map(|(name, value)| (name.clone(), value.expose_secret().to_owned()));
        Self { present, outputs: outputs.collect() }
    }

    fn has(&self, name: &Name) -> bool {
        match name {
            Name::Of(name) => self.present.contains_key(name),
            Name::Output(name) => self.outputs.contains_key(name),
        }
    }

    fn value(&self) -> Value {
        let named = self.present.iter();
        let mut values: BTreeMap<String, Value> =
            named.map(|(name, value)| ((*name).to_owned(), Value::from(value))).collect();
        let outputs = self.outputs.iter();
        let outputs: BTreeMap<String, Value> =
            outputs.map(|(name, value)| (name.clone(), Value::from(value))).collect();
        values.insert(OUTPUTS.to_owned(), Value::from(outputs));
        Value::from(values)
    }
}

impl Template {
    /// Reads a template that stands at `place`.
    pub(super) fn compile(text: &str, place: &str, known: Known<'_>) -> Result<Self, Error> {
        if text.len() > LONGEST_TEXT {
            let message = format!("{place}: a template is at most {LONGEST_TEXT} bytes long");
            return Err(Error::new(Reason::InvalidSpec, message));
        }
        let refuse = |slip: Slip| {
            let Slip { line, what } = slip;
            Error::new(Reason::InvalidSpec, format!("{place}: line {line}: {what}"))
        };
        let parsed = parse(text, "", SyntaxConfig::default()).map_err(|error| {
            let detail = error.detail().unwrap_or("it cannot be read");
            refuse(Slip { line: error.line().unwrap_or(1), what: detail.to_owned() })
        })?;
        let mut reader = Reader { known, used: Vec::new(), joins: 0 };
        reader.statement(&parsed).map_err(refuse)?;
        Ok(Self { place: place.to_owned(), text: text.to_owned(), used: reader.used })
    }

    /// Fills it in.
    pub(super) fn render(&self, context: &Context) -> Result<String, Error> {
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.add_test("defined", |value: &Value| !value.is_undefined());
        environment.add_test("undefined", |value: &Value| value.is_undefined());
        filters::add_to(&mut environment);
        let mut text = Limited::new(LARGEST_SECRET);
        let template = environment.template_from_str(&self.text);
        template
            .and_then(|template| template.render_captured_to(context.value(), &mut text).map(drop))
            .map_err(|error| self.refuse(&error, context))?;
        text.into_text().ok_or_else(|| self.slip(1, "it does not come to text"))
    }

    /// What went wrong, without any value: what the engine says may hold one.
    fn refuse(&self, error: &minijinja::Error, context: &Context) -> Error {
        let line = error.line().unwrap_or(1);
        let missing = || {
            let names = self.used.iter().filter(|(name, at)| *at == line && !context.has(name));
            names.map(|(name, _)| name).next()
        };
        match (error.kind(), missing()) {
            (ErrorKind::UndefinedError, Some(name)) => self.slip(
                line,
                &format!(
                    "the provider's answer tells no {name}: say what stands in its place, as in \
                     {{{{ {name} | default(\"…\") }}}}, or ask whether it is defined"
                ),
            ),
            (ErrorKind::WriteFailure, _) => self.slip(line, "it comes to more than a Secret holds"),
            (ErrorKind::InvalidOperation, _) if error.detail() == Some(filters::TOO_LARGE) => {
                self.slip(line, filters::TOO_LARGE)
            }
            (kind, _) => self.slip(line, &format!("it cannot be filled in ({kind})")),
        }
    }

    fn slip(&self, line: usize, what: &str) -> Error {
        let message = format!("{}: line {line}: {what}", self.place);
        Error::new(Reason::TargetNotRendered, message)
    }
}

/// What is wrong, and in which line.
struct Slip {
    line: usize,
    what: String,
}

/// Lets through what a target's template may hold.
struct Reader<'a> {
    known: Known<'a>,
    used: Vec<(Name, usize)>,
    joins: usize,
}

const STATEMENTS: &str = "a template holds text, {{ … }} and {% if … %} only";

impl Reader<'_> {
    fn statement(&mut self, statement: &ast::Stmt<'_>) -> Result<(), Slip> {
        use ast::Stmt;
        let refuse = |span: minijinja::machinery::Span, what: &str| {
            Err(Slip { line: span.start_line.into(), what: format!("{what}: {STATEMENTS}") })
        };
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitRaw(_) => Ok(()),
            Stmt::EmitExpr(emitted) => self.expression(&emitted.expr),
            Stmt::IfCond(condition) => {
                self.expression(&condition.expr)?;
                self.statements(&condition.true_body)?;
                self.statements(&condition.false_body)
            }
            Stmt::ForLoop(found) => refuse(found.span(), "there is nothing to loop over"),
            Stmt::WithBlock(found) => refuse(found.span(), "with"),
            Stmt::Set(found) => refuse(found.span(), "set"),
            Stmt::SetBlock(found) => refuse(found.span(), "set"),
            Stmt::AutoEscape(found) => refuse(found.span(), "autoescape"),
            Stmt::FilterBlock(found) => refuse(found.span(), "filter"),
            Stmt::Do(found) => refuse(found.span(), "do"),
        }
    }

    fn statements(&mut self, statements: &[ast::Stmt<'_>]) -> Result<(), Slip> {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn expression(&mut self, expression: &ast::Expr<'_>) -> Result<(), Slip> {
        use ast::Expr;
        let line = usize::from(expression.span().start_line);
        match expression {
            Expr::Const(_) => Ok(()),
            Expr::Var(variable) => self.name(variable.id, line),
            Expr::GetAttr(got) => self.output(&got.expr, Some(got.name), line),
            Expr::GetItem(got) => {
                let name = got.subscript_expr.as_const();
                self.output(&got.expr, name.as_ref().and_then(Value::as_str), line)
            }
            Expr::Filter(filter) => {
                known("filter", filter.name, FILTERS, line)?;
                filter.expr.iter().try_for_each(|inner| self.expression(inner))?;
                self.arguments(&filter.args, line)
            }
            Expr::Test(test) => {
                known("test", test.name, &TESTS, line)?;
                self.expression(&test.expr)?;
                self.arguments(&test.args, line)
            }
            Expr::UnaryOp(operation) if matches!(operation.op, ast::UnaryOpKind::Not) => {
                self.expression(&operation.expr)
            }
            Expr::BinOp(operation) => {
                self.operator(operation.op, line)?;
                self.expression(&operation.left)?;
                self.expression(&operation.right)
            }
            Expr::Compare(comparison) => {
                self.expression(&comparison.expr)?;
                comparison.ops.iter().try_for_each(|operand| self.expression(&operand.expr))
            }
            Expr::IfExpr(choice) => {
                self.expression(&choice.test_expr)?;
                self.expression(&choice.true_expr)?;
                choice.false_expr.iter().try_for_each(|other| self.expression(other))
            }
            Expr::List(list) => list.items.iter().try_for_each(|item| self.expression(item)),
            Expr::Map(map) => {
                map.keys.iter().chain(&map.values).try_for_each(|item| self.expression(item))
            }
            Expr::Call(_) => Err(slip(line, "there are no functions, only filters: | b64encode")),
            Expr::Slice(_) | Expr::UnaryOp(_) | Expr::Tuple(_) => {
                Err(slip(line, "a template compares and joins values, it does not calculate"))
            }
        }
    }

    fn operator(&mut self, operator: ast::BinOpKind, line: usize) -> Result<(), Slip> {
        use ast::BinOpKind::{
            Add, Concat, Div, Eq, FloorDiv, Gt, Gte, In, Lt, Lte, Mul, Ne, Pow, Rem, ScAnd, ScOr,
            Sub,
        };
        match operator {
            Eq | Ne | Lt | Lte | Gt | Gte | ScAnd | ScOr | In => Ok(()),
            Concat if self.joins < JOINS => {
                self.joins += 1;
                Ok(())
            }
            Concat => Err(slip(
                line,
                &format!("more than {JOINS} values are joined by ~: write them beside each other"),
            )),
            Add => Err(slip(line, "values are joined by ~, not by +")),
            Sub | Mul | Div | FloorDiv | Rem | Pow => {
                Err(slip(line, "a template compares and joins values, it does not calculate"))
            }
        }
    }

    fn arguments(&mut self, arguments: &[ast::CallArg<'_>], line: usize) -> Result<(), Slip> {
        arguments.iter().try_for_each(|argument| match argument {
            ast::CallArg::Pos(value) => self.expression(value),
            _ => Err(slip(line, "a filter takes its arguments in their order, without names")),
        })
    }

    fn name(&mut self, name: &str, line: usize) -> Result<(), Slip> {
        match NAMES.iter().find(|known| **known == name) {
            Some(&ACCESS_TOKEN) if !self.known.token => Err(slip(
                line,
                "labels and annotations are for everybody's eyes: the token stands in no one",
            )),
            Some(known) => {
                self.used.push((Name::Of(known), line));
                Ok(())
            }
            None if name == OUTPUTS => {
                Err(slip(line, "name one of the outputs, as in {{ outputs.NAME }}"))
            }
            None => {
                let hint = nearest(name, NAMES.into_iter().chain(["outputs.NAME"]));
                Err(slip(line, &format!("{{{{ {name} }}}} names nothing that is known{hint}")))
            }
        }
    }

    /// `outputs.NAME`, or `outputs["NAME"]` where the name has other characters.
    fn output(&mut self, of: &ast::Expr<'_>, name: Option<&str>, line: usize) -> Result<(), Slip> {
        let is_outputs = matches!(of, ast::Expr::Var(variable) if variable.id == OUTPUTS);
        let (true, Some(name)) = (is_outputs, name) else {
            return Err(slip(line, "only outputs has names of its own: {{ outputs.NAME }}"));
        };
        if let Some(outputs) = self.known.outputs.filter(|outputs| !outputs.contains(name)) {
            let hint = nearest(name, outputs.iter().copied());
            let what =
                format!("the provider's document (response.outputs) has no output {name:?}{hint}");
            return Err(slip(line, &what));
        }
        self.used.push((Name::Output(name.to_owned()), line));
        Ok(())
    }
}

fn known(what: &str, name: &str, known: &[&str], line: usize) -> Result<(), Slip> {
    if known.contains(&name) {
        return Ok(());
    }
    let hint = nearest(name, known.iter().copied());
    Err(slip(line, &format!("there is no {what} {name:?}{hint}")))
}

fn slip(line: usize, what: &str) -> Slip {
    Slip { line, what: what.to_owned() }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
