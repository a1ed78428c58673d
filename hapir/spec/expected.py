"""The parser's terminals in words: what was expected, and what was found."""

from __future__ import annotations

from lark import Token

_VALUE = {"NAME", "NUMBER", "QUANTITY", "STRING", "LSQB"}
_WORDS = {
    "_SEP": "a new line",
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a quoted string",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "ARROW": "`->`",
    "LPAR": "`(`",
    "LSQB": "`[`",
    "LBRACE": "`{`",
    "RPAR": "`)`",
    "RSQB": "`]`",
    "RBRACE": "`}`",
    "$END": "the end of the file",
}
KEYWORDS = (
    "hap",
    "import",
    "network",
    "machine",
    "recipe",
    "schedule",
    "of",
    "with",
    "on",
    "from",
    "return",
    "weights",
    "let",
    "block",
    "repeat",
    "in",
    "extends",
)


def expected(accepted: set[str]) -> str:
    """What the parser would take, in words: ``a name, `)` or the end of the file``.

    A value may begin in five ways and a list go on in two; each is said in one word, so that the list stays short.
    """
    rest = set(accepted)
    words: list[str] = []
    if rest >= _VALUE:
        in_block = "RBRACE" in rest
        words.append("a statement" if in_block else "a value")
        rest -= _VALUE | {"_SEP", "LPAR", "MINUS"}
        if in_block:
            rest -= {"RETURN", "WEIGHTS", "LET", "BLOCK", "REPEAT"}
    if "IMPORT" in rest:
        rest -= {"HAP", "_SEP"}
    if "ARROW" in rest:
        rest.discard("_SEP")
    words.extend(f"`{k}`" for k in KEYWORDS if k.upper() in rest)
    if "_SEP" in rest and "LPAR" in rest:
        rest.discard("LSQB")  # a type or an array's size may follow as well, but a call is what was meant
    if "_SEP" in rest and rest & {"RPAR", "RSQB"}:
        rest.discard("_SEP")
        words.append("`,`")
    words.extend(word for terminal, word in _WORDS.items() if terminal in rest)
    if len(words) < 2:
        return words[0] if words else "something else"
    return f"{', '.join(words[:-1])} or {words[-1]}"


def describe(token: Token) -> str:
    """A token as the message that did not expect it shows it."""
    if token.type == "$END":
        return "the end of the file"
    if token.type == "_SEP":
        return f"`{token[0]}`" if token.startswith((",", ";")) else "the end of the line"
    return f"`{token}`" if len(token) <= 40 else f"`{token[:37]}...`"
