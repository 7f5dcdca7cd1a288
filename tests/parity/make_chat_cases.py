#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_chat_cases.py: what transformers' apply_chat_template makes of conversations, as chat_cases.json: every template of
chat_templates/ with every conversation, and small templates that show one construct each. A case that raises is stored as null.

Made with transformers 5.23 and jinja2 3.1:  python3 tests/parity/make_chat_cases.py > tests/parity/chat_cases.json
"""
import datetime
import glob
import json
import os
import sys

import transformers.utils.chat_template_utils as utils
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
TODAY = "2025-02-03"


class Then(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromisoformat(TODAY)


utils.datetime = Then

CALL = {"type": "function", "id": "abcdefghi", "function": {"name": "weather", "arguments": {"place": "Zürich", "days": 2, "f": 0.5}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "The weather <there> & \"then\"", "parameters": {
    "type": "object", "properties": {"place": {"type": "string"}, "days": {"type": "integer"}}, "required": ["place"]}}}]


def say(role, content, **more):
    return dict(role=role, content=content, **more)


CONVERSATIONS = {
    "one": [say("user", "Hello")],
    "turns": [say("user", "Hello"), say("assistant", "Hi there!"), say("user", "Who are you?"), say("assistant", "A model.\n")],
    "system": [say("system", "Be brief.  "), say("user", "  What is 2 + 2?\n"), say("assistant", " 4 ")],
    "spaces": [say("user", "\n\n a \t"), say("assistant", "  \u3000b\u00a0 "), say("user", "c")],
    "unicode": [say("system", "日本語 é 😀"), say("user", "Ça va?"), say("assistant", "‘Oui’ — \"très\" \\ bien\u2028x")],
    "special": [say("user", "<|im_start|>system\n</s><eos>"), say("assistant", "{{ messages }} {% if %}")],
    "assistant-first": [say("assistant", "I begin."), say("user", "Go on.")],
    "two-users": [say("user", "a"), say("user", "b")],
    "odd-role": [say("user", "a"), say("poet", "b")],
    "empty": [say("user", ""), say("assistant", "")],
    "think": [say("user", "a"), say("assistant", "<think>\nhm\n</think>\n\nyes"), say("user", "b"),
              say("assistant", "<think>\nhm hm\n</think>\n\nno")],
    "reasoning": [say("user", "a"), say("assistant", "yes", reasoning_content="hm\n")],
    "null": [say("user", "a"), dict(role="assistant", content=None, tool_calls=[CALL]), say("tool", "warm", tool_call_id="abcdefghi"),
             say("assistant", "It is warm.")],
    "tools": [say("system", "s"), say("user", "Weather?"), say("assistant", "", tool_calls=[CALL]),
              say("tool", "{\"t\": 21}", tool_call_id="abcdefghi"), say("assistant", "21 degrees.")],
}

# Each over the variables below.
SNIPPETS = r"""
{{ x }}|{{ x.y.z is defined }}|{{ nothing }}|{{ nothing is defined }}|{{ none }}{{ true }}{{ False }}
{{ 1 + 2 * 3 - 4 // 3 % 2 ** 3 }} {{ 7 / 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 1e3 }} {{ 0.1 + 0.2 }} {{ 1e16 }} {{ 1.5e-7 }} {{ 100.0 }}
{{ 'a' ~ 1 ~ none ~ nothing }} {{ 'a' 'b' "c" }} {{ 'x' * 3 }} {{ [1] + [2] }} {{ (1, 2) + (3,) }} {{ (1,) }} {{ () }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' in 'cat' }} {{ 'a' not in ['b'] }} {{ 'k' in d }} {{ 1 == 1.0 }} {{ 1 == '1' }} {{ true == 1 }} {{ not 1 == 2 }}
{{ 'yes' if s else 'no' }} {{ 'yes' if nothing }} {{ 'a' if nothing else 'b' if 0 else 'c' }} {{ nothing or 'o' }} {{ 0 or '' or [] }} {{ 1 and 'b' }} {{ not nothing }}
{{ l }} {{ d }} {{ ['it\'s', "q\"q", 'both\'"', 'n\n\t\\', 'é\u200b'] }} {{ [none, 1.0, true, {}] }}
{{ l[0] }} {{ l[-1] }} {{ l[9] }} {{ l[1:] }} {{ l[:-1] }} {{ l[::-1] }} {{ l[::2] }} {{ l[5:] }} {{ l[-2:2] }} {{ s[1:4] }} {{ s[::-1] }} {{ s[-1] }} {{ s[0] }} {{ u[1:3] }} {{ u[-2:] }} {{ u | length }} {{ l.0 }}
{{ d.k }} {{ d['k'] }} {{ d.get('k') }} {{ d.get('no') }} {{ d.get('no', 5) }} {{ d.items() | list }} {{ d.keys() | list }} {{ d.values() | list }} {{ d | length }} {{ d | items | list }}
{{ d | tojson }} {{ l | tojson }} {{ u | tojson }} {{ 'a<b>&\'"\\/' | tojson }} {{ {'a': [], 'b': {}, 'c': [1, {'d': none}]} | tojson(indent=2) }} {{ u | tojson(ensure_ascii=true) }} {{ d | tojson(separators=(',', ':')) }} {{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }} {{ '\x01\x7f' | tojson }} {{ 1.0 | tojson }}
{{ '  a b  ' | trim }}| {{ 'xxaxx' | trim('x') }} {{ ' a '.strip() }}| {{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}| {{ '--a-'.strip('-') }}
{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a b c'.split(none, 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ 'a</t>b'.split('</t>')[-1] }} {{ ''.split(',') }} {{ ''.split() }} {{ 'a\nb\r\nc\n'.splitlines() }}
{{ s.startswith('Hel') }} {{ s.endswith(('x', 'o')) }} {{ s.upper() }} {{ s | lower }} {{ s | capitalize }} {{ 'hello wORLD it\'s' | title }} {{ 'hello wORLD it\'s'.title() }} {{ s.find('l') }} {{ s.rfind('l') }} {{ s.find('z') }} {{ s.count('l') }} {{ s.replace('l', 'L') }} {{ s.replace('l', 'L', 1) }} {{ s | replace('l', '') }} {{ ', '.join(['a', 'b']) }} {{ s.removeprefix('He') }} {{ s.removesuffix('lo') }} {{ '12'.isdigit() }}
{{ ['a', 1, none] | join('-') }} {{ l | join }} {{ messages | map(attribute='role') | join(', ') }} {{ l | map('string') | list }} {{ l | select('odd') | list }} {{ l | reject('equalto', 2) | list }} {{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }} {{ messages | rejectattr('role', 'in', ['user']) | list | length }} {{ messages | selectattr('content') | list | length }}
{{ l | first }} {{ l | last }} {{ s | first }} {{ [] | first }} {{ l | reverse | list }} {{ s | reverse }} {{ nothing | default('d') }} {{ '' | default('d') }} {{ '' | default('d', true) }} {{ '3' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ 3.9 | int }} {{ '2.5' | float }} {{ -3 | abs }} {{ 5 | string }} {{ {'b': 1, 'A': 2} | dictsort }} {{ 'a\nb\n\nc' | indent }} {{ 'a\nb' | indent(2, true) }}
{{ 1 is number }} {{ true is number }} {{ 1.0 is float }} {{ 1 is integer }} {{ true is integer }} {{ true is boolean }} {{ 's' is string }} {{ d is mapping }} {{ l is iterable }} {{ 's' is sequence }} {{ none is none }} {{ 3 is odd }} {{ 4 is divisibleby 2 }} {{ 4 is divisibleby(3) }} {{ 1 is not none }} {{ 2 is in [1, 2] }} {{ 'a' is lower }} {{ 3 is ge 3 }} {{ 0 is false }} {{ false is false }} {{ range is callable }} {{ nothing is iterable }}
{% for i in range(3) %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{{ loop.length }}{% if not loop.last %}, {% endif %}{% endfor %}{{ range(5, 0, -2) | list }}{{ range(1, 3) | list }}
{% for i in l if i != 2 %}{{ loop.index }}:{{ i }} {% else %}none{% endfor %}{% for i in [] %}x{% else %}none{% endfor %}{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for c in 'ab' %}[{{ c }}]{% endfor %}
{% for i in l %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% if i == 3 %}{% break %}{% endif %}{% endfor %}
{% set a = 1 %}{% for i in l %}{% set a = a + i %}{{ a }} {% endfor %}{{ a }}{% set ns = namespace(a=1, b='x') %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{% if true %}{% set a = 9 %}{% endif %}{{ a }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, e) = [3, 4] %}{{ c }}{{ e }}{% set t %}in {{ a }} block{% endset %}{{ t }}{{ t | length }}
{% macro m(a, b='B', c=none) %}<{{ a }}{{ b }}{{ c }}>{% endmacro %}{{ m(1) }}{{ m(1, c=2) }}{{ m(b=3, a=4) }}{{ m() }}{% set z = m(5) %}{{ z | length }}{% macro r(n) %}{{ n }}{% if n > 0 %}{{ r(n - 1) }}{% endif %}{% endmacro %}{{ r(3) }}
{% if x %}a{% elif s == 'Hello' %}b{% else %}c{% endif %}{% if nothing %}a{% elif 0 %}b{% elif [] %}c{% else %}d{% endif %}
a {%- if 1 -%}  b  {%- endif -%}  c {#- note -#} d {# note #} e
  {% if 1 %}
    x
  {% endif %}
 y  {# c #}
  z {%+ if 1 %} w{% endif +%}
end
{{- ' a ' -}}   b  {{ 'c' }}
 d
{{ {'a': {'b': 1}}['a']['b'] }}{{ {'a': {'b': {}}} }}{{ "}}" }}{{ '%}' }}
{{ messages[0]['content'] | trim | length + 1 }} {{ - 2 | abs }} {{ 'a' + 'b' | upper }} {{ ('a' + 'b') | upper }} {{ not true or true }} {{ 2 * -3 }} {{ -2 ** 2 }}
{{ messages[0].role == 'user' and messages[0].content is string and 'x' not in messages[0] }} {{ messages[-1] == messages[1] }} {{ messages | length }}
{{ '\u00e9\x41\101\n\t\q\'' }}{{ "tab	in" }}{{ strftime_now('%d %b %Y %A %j') }}{{ dict(a=1)['a'] }}{{ dict({'b': 2}, c=3) }}
{{ nothing.x }}
{{ nothing + 'a' }}
{{ 'a' + 1 }}
{{ messages.append(1) }}
{{ raise_exception('no ' ~ 1) }}
{{ 1 / 0 }}
{{ d.no.x }}
{{ l | no_such_filter }}
{% unknown %}
{% if 1 %}
{{ 1 +
{{ namespace(a=1).a }}{{ d.no }}{{ d['no'] | default('dd') }}{{ (nothing | default({})).x }}{{ nothing[1:] | list if nothing is defined else '' }}
{{ 'abc' == "abc" }}{{ 'b' > 'a' }}{{ [1, 2] == [1, 2] }}{{ {'a': 1} == {'a': 1.0} }}{{ none == nothing }}{{ [1, [2]] | string }}
{%- for m in messages -%} {{ loop.previtem.role if loop.previtem is defined else '-' }}{{ loop.nextitem.role if not loop.last else '.' }} {%- endfor %}
{{ l.index(2) }} {{ l.count(3) }} {{ (1, 1).count(1) }} {{ 'AbC'.lower() }} {{ 'aBC d'.capitalize() }} {{ 'É'.lower() }} {{ ' \t'.isspace() }} {{ messages | join(', ', attribute='role') }} {{ 'a\nb' | indent('> ') }}
{{ 1.5 - 2 }} {{ 2.5 * 2 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }} {{ -1.5 }} {{ +1.5 }} {{ 2.0 ** 0.5 }} {{ (-1.5) | abs }} {{ 0.0 or 'zero' }}
{% for i in l %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}
{{ strftime_now('%y-%m-%d %a %B %%') }}
{{ [true, false, none] | tojson }} {{ x | tojson }} {{ nothing | length }} {{ d == {'n': 2, 'k': 'v'} }} {{ nothing == nothing }} {{ true in [1] }}
{{ l.index(9) }}
{{ 3 | join }}
{{ 1 in 2 }}
{{ 1 < 'a' }}
{% set messages = messages[1:] %}{{ messages | length }}{% for message in messages %}{% set messages = [] %}{{ messages | length }}{% endfor %}{{ messages | length }}
""".strip("\n").split("\n")
# what stands on more than one line
SNIPPETS += ["  {% if 1 %}\n    x\n  {% endif %}\n y  {# c #}\n  z {%+ if 1 %} w{% endif +%}\nend\n", "a\r\nb{{ 1 }}\r\n{% set x = 1 %}\r\nc\n\n",
             "{% for i in l %}\n  {{ i }}\n{% endfor %}\n", "x\n    {#- gone #}\n  y", "{{ 'a' }}\n", "\n\n{% if 1 %}\n\nx{% endif %}\n\n",
             "{% set a = [\n 1,\n 2,\n] %}{{ a\n| length }}", "{{\n\n'x' ~\n nothing.y }}", " {%- set x = 'a\nb' %}\n{{ x }}"]
VARIABLES = {"x": {"y": {}}, "s": "Hello", "l": [1, 2, 3], "d": {"k": "v", "n": 2}, "u": "é日😀x"}
SMALL = [say("user", " u "), say("assistant", "a")]

tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>", eos_token="</s>")


def render(template, messages, **more):
    try:
        return tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, **more)
    except Exception as e:  # whatever it is, the conversation is refused
        print(type(e).__name__, str(e)[:80].replace("\n", " "), file=sys.stderr)
        return None


cases = []
for path in sorted(glob.glob(os.path.join(HERE, "chat_templates", "*.jinja"))):
    with open(path, encoding="utf-8", newline="") as f:
        template = f.read()
    for name, messages in CONVERSATIONS.items():
        for prompt in (False, True):
            for tools in (None, TOOLS) if name in ("one", "tools") else (None,):
                cases.append({"template": os.path.basename(path)[:-6], "conversation": name, "prompt": prompt, "tools": tools is not None,
                              "text": render(template, messages, add_generation_prompt=prompt, tools=tools)})
snippets = [{"template": s, "text": render(s, SMALL, **VARIABLES)} for s in SNIPPETS]
json.dump({"today": TODAY, "bos_token": "<s>", "eos_token": "</s>", "tools": TOOLS, "conversations": CONVERSATIONS, "cases": cases,
           "variables": VARIABLES, "messages": SMALL, "snippets": snippets}, sys.stdout, ensure_ascii=False, indent=None,
          separators=(",", ":"))
print()
