#!/usr/bin/python3
"""gen.py --out DIR [--from DIR] - the schemas of proto/kafka and proto/records as C.

Writes DIR/wire/NAME.{h,c} for proto/kafka/NAME.msg, DIR/records/NAME.{h,c} for proto/records/NAME.msg, and the table of
all APIs, DIR/wire/apis.{h,c}. Output depends on nothing but the schemas. The language is described in proto/README.md.
"""
import argparse
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FOREVER = 32767

# Schema type: C type, suffix of wire_get_/wire_put_, kind of shape.h, fewest bytes on the wire (plain, compact).
PRIMITIVES = {
    'bool': ('bool', 'bool', 'BOOL', 1, 1),
    'int8': ('int8_t', 'i8', 'INT8', 1, 1),
    'int16': ('int16_t', 'i16', 'INT16', 2, 2),
    'uint16': ('uint16_t', 'u16', 'UINT16', 2, 2),
    'int32': ('int32_t', 'i32', 'INT32', 4, 4),
    'uint32': ('uint32_t', 'u32', 'UINT32', 4, 4),
    'int64': ('int64_t', 'i64', 'INT64', 8, 8),
    'float64': ('double', 'f64', 'FLOAT64', 8, 8),
    'uuid': ('struct uuid', 'uuid', 'UUID', 16, 16),
    'string': ('struct str', 'str', 'STRING', 2, 1),
    'bytes': ('struct wire_bytes', 'bytes', 'BYTES', 4, 1),
    'records': ('struct wire_records', 'records', 'RECORDS', 4, 1),
}
SIZED = ('string', 'bytes', 'records')  # have a compact form and can be null
NUMBERS = ('int8', 'int16', 'uint16', 'int32', 'uint32', 'int64')


class SchemaError(Exception):
    pass


def parse_range(text, outer):
    """'3+', '1-4' or '2', within outer."""
    found = re.fullmatch(r'(\d+)(?:(\+)|-(\d+))?', text)
    since = int(found[1])
    until = outer[1] if found[2] else int(found[3] or since)
    if not outer[0] <= since <= until <= outer[1]:
        raise SchemaError(f'versions {text} are not within {outer[0]}-{outer[1]}')
    return since, until


def is_range(word):
    return re.fullmatch(r'\d+(\+|-\d+)?', word)


def when(versions, outer):
    """C condition for version being in versions, knowing that it is in outer; None if always, '' if never."""
    if versions is None:
        return ''
    parts = []
    if versions[0] > outer[0]:
        parts.append(f'version >= {versions[0]}')
    if versions[1] < outer[1]:
        parts.append(f'version <= {versions[1]}')
    if len(parts) == 2 and versions[0] == versions[1]:
        parts = [f'version == {versions[0]}']
    return ' && '.join(parts) or None


def truth(versions, outer):
    cond = when(versions, outer)
    return 'true' if cond is None else cond or 'false'


def snake(name):
    return re.sub(r'(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', '_', name).lower()


class Struct:
    """A message or a part of one."""

    def __init__(self, message, name, versions):
        self.message, self.name, self.versions, self.fields = message or self, name, versions, []
        self.flexible = None  # versions, of a message

    @property
    def tag(self):
        return self.name if self.message is self else f'{self.message.name}_{self.name}'

    def tagged(self):
        return sorted((f for f in self.fields if f.tag is not None), key=lambda f: f.tag)

    def plain(self):
        return [f for f in self.fields if f.tag is None]

    def wire_min(self, version):
        flexible = self.message.flexible_in(version)
        return sum(f.wire_min(version, flexible) for f in self.plain() if f.in_version(version)) + flexible

    def flexible_in(self, version):
        return bool(self.flexible and self.flexible[0] <= version <= self.flexible[1])


class Field:
    def __init__(self, name, versions):
        self.name, self.versions, self.aka = name, versions, name
        self.nullable = self.tag = self.default = self.struct = None
        self.array = False

    def in_version(self, version):
        return self.versions[0] <= version <= self.versions[1]

    @property
    def pointer(self):
        return self.struct is not None and not self.array and self.nullable is not None

    @property
    def inline(self):
        return self.struct is not None and not self.array and self.nullable is None

    def wire_min(self, _, flexible):
        if self.array:
            return 1 if flexible else 4
        if self.struct:
            return 1 if self.pointer else self.struct.wire_min(_)
        return PRIMITIVES[self.type][4 if flexible else 3]

    def ctype(self):
        base = f'struct {self.struct.tag}' if self.struct else PRIMITIVES[self.type][0]
        return base + (' *' if self.array or self.pointer else ' ')

    def default_c(self):
        """The C value of a default that is not all zero bits, else None."""
        if self.array or self.struct:
            return None
        if self.type == 'string':
            return None if self.default == 'null' else 'STR_EMPTY'
        if self.type == 'bytes':
            return 'WIRE_BYTES_NULL' if self.default == 'null' else None
        if self.type == 'records':
            return 'WIRE_RECORDS_NULL'
        if self.type == 'bool':
            return 'true' if self.default == 'true' else None
        if self.default in (None, '0'):
            return None
        value = int(self.default, 0)
        if value == -2 ** 31:
            return 'INT32_MIN'
        return str(value) if abs(value) < 2 ** 31 else f'INT64_C({value})'

    def set_default(self, out):
        """The statement that sets the default in zeroed memory, or None."""
        if self.array:
            return f'{out}->{self.name}_len = -1;' if self.default == 'null' else None
        if self.inline:
            return f'{self.struct.tag}_init(&{out}->{self.name});'
        value = self.default_c()
        return f'{out}->{self.name} = {value};' if value else None

    def differs(self, message):
        """C condition: the field is not its default."""
        at = f'{message}->{self.name}'
        if self.inline:
            return f'{message}->has_{self.name}'
        if self.pointer:
            return f'{at} != NULL'
        if self.array:
            return f'{at}_len != {-1 if self.default == "null" else 0}'
        if self.type == 'string':
            return f'{at}.ptr != NULL' if self.default == 'null' else f'({at}.ptr == NULL || {at}.len > 0)'
        if self.type in ('bytes', 'records'):
            return f'{at}.len != {-1 if self.default == "null" or self.type == "records" else 0}'
        if self.type == 'uuid':
            return f'!uuid_is_zero({at})'
        return f'{at} != {self.default_c() or "0"}'


# --- reading schemas --------------------------------------------------------------------------------------------------

class Reader:
    """One .msg file: its messages, and key and name if it is an API."""

    def __init__(self, path):
        self.path, self.messages, self.key, self.api = path, [], None, None
        self.stack = []  # (indent, struct whose fields stand deeper than that)
        self.shared = {}
        with open(path, encoding='utf-8') as lines:
            for number, line in enumerate(lines, 1):
                words = line.split('#')[0].split()
                try:
                    if words:
                        self.take((len(line) - len(line.lstrip())) // 4, words)
                except (SchemaError, ValueError, IndexError) as wrong:
                    sys.exit(f'{path}:{number}: {wrong}')
        for message in self.messages:
            self.check(message)

    def take(self, indent, words):
        if indent == 0:
            self.take_head(words)
        elif words[0] == 'struct':
            self.open_struct(indent, words[1], self.stack[0][1].versions)
        else:
            while self.stack[-1][0] >= indent:
                self.stack.pop()
            if self.stack[-1][0] != indent - 1:
                raise SchemaError(f'{words[0]} stands under a field that is no new struct')
            self.take_field(indent, words)

    def take_head(self, words):
        if words[0] == 'api':
            self.key, self.api = int(words[1]), words[2]
            self.versions, self.flexible = self.head_versions(words[3:])
        elif words[0] in ('request', 'response'):
            self.open_message(f'{snake(self.api)}_{words[0]}', self.versions, self.flexible)
        elif words[0] == 'record':
            self.open_message(words[1], *self.head_versions(words[2:]))
        else:
            raise SchemaError(f'{words[0]}: expected api, request, response or record')

    def head_versions(self, words):
        versions = parse_range(words[0], (0, FOREVER))
        if words[1:2] == ['flexible']:
            return versions, parse_range(words[2], versions)
        return versions, None

    def open_message(self, name, versions, flexible):
        message = Struct(None, name, versions)
        message.flexible, message.structs = flexible, []
        self.messages.append(message)
        self.stack, self.shared = [(0, message)], {}

    def open_struct(self, indent, name, versions):
        message = self.messages[-1]
        if any(s.name == name for s in message.structs):
            raise SchemaError(f'{name} is defined twice in {message.name}')
        struct = Struct(message, name, versions)
        message.structs.append(struct)
        while self.stack[-1][0] >= indent:
            self.stack.pop()
        self.stack.append((indent, struct))
        self.shared[name] = struct
        return struct

    def take_field(self, indent, words):
        outer = self.stack[-1][1]
        field = Field(words[0], outer.versions)
        question, array, field.type = re.fullmatch(r'(\??)(\[\])?(\w+)', words[1]).groups()
        field.array = bool(array)
        rest = words[2:]
        if rest and is_range(rest[0]):
            field.versions = parse_range(rest.pop(0), outer.versions)
        if question:
            field.nullable = field.versions
        while rest:
            mark = rest.pop(0)
            if mark == 'null':
                field.nullable = parse_range(rest.pop(0), field.versions)
            elif mark == 'tag':
                field.tag = int(rest.pop(0))
            elif mark == '=':
                field.default = rest.pop(0)
            elif mark == 'aka':
                field.aka = rest.pop(0)
            elif mark != 'ignorable':
                raise SchemaError(f'unknown mark {mark}')
        if field.type not in PRIMITIVES:
            field.struct = self.shared.get(field.type)
            if field.struct is None:
                field.struct = self.open_struct(indent, field.type, field.versions)
        self.check_field(field)
        outer.fields.append(field)

    def check_field(self, field):
        flexible = self.messages[-1].flexible
        if field.tag is not None and (not flexible or field.versions[0] < flexible[0]):
            raise SchemaError(f'{field.name}: tagged, but not flexible in all its versions')
        if field.default == 'null' and field.nullable is None and field.type != 'records':
            raise SchemaError(f'{field.name}: null by default, but never nullable')
        if field.nullable and not (field.array or field.struct or field.type in SIZED):
            raise SchemaError(f'{field.name}: {field.type} cannot be null')
        if field.default not in (None, 'null'):
            if field.array or field.type not in NUMBERS + ('bool',):
                raise SchemaError(f'{field.name}: no such default')
            if field.type != 'bool':
                int(field.default, 0)

    def check(self, message):
        """Structs come out of the reader parents first; C wants them the other way round."""
        order = []

        def visit(struct):
            if not struct.fields:
                sys.exit(f'{self.path}: {message.name} has neither a type nor a struct called {struct.name}')
            for field in struct.fields:
                if field.struct:
                    visit(field.struct)
            if struct not in order:
                order.append(struct)

        if message.fields:
            visit(message)
            order.pop()
        message.structs = order


# --- writing C --------------------------------------------------------------------------------------------------------

class Lines:
    def __init__(self):
        self.lines, self.depth = [], 0

    def __call__(self, line=''):
        self.lines.append('    ' * self.depth + line if line else '')

    def open(self, line):
        self(line)
        self.depth += 1

    def close(self, line='}'):
        self.depth -= 1
        self(line)

    def gate(self, cond):
        """Opens an if, unless cond is None (always)."""
        if cond is not None:
            self.open(f'if ({cond}) {{')
        return cond is not None

    def text(self):
        return '\n'.join(self.lines) + '\n'


def struct_decl(w, struct):
    w.open(f'struct {struct.tag} {{')
    for f in struct.fields:
        if f.inline and f.tag is not None:
            w(f'bool has_{f.name};')
        w(f'{f.ctype()}{f.name};' + (' /* NULL: null */' if f.pointer else ''))
        if f.array:
            w(f'int32_t {f.name}_len;' + (' /* -1: null */' if f.nullable else ''))
    if not struct.fields:
        w('char nothing; /* C has no empty struct */')
    w.close('};')
    w()


def header(path, source, messages):
    w = Lines()
    guard = re.sub(r'\W', '_', path.upper())
    w(f'/* Generated by proto/gen.py from {source}. */')
    w(f'#ifndef {guard}')
    w(f'#define {guard}')
    w()
    w('#include "common/wire/prim.h"')
    w('#include "common/wire/shape.h"')
    w()
    for m in messages:
        name = m.name
        w(f'#define {name.upper()}_MIN_VERSION {m.versions[0]}')
        w(f'#define {name.upper()}_MAX_VERSION {m.versions[1]}')
        w()
        for struct in m.structs + [m]:
            struct_decl(w, struct)
        for struct in m.structs + [m]:
            w(f'void {struct.tag}_init(struct {struct.tag} *m);')
        w(f'enum err {name}_decode(struct {name} *out, struct wire_in *in, int16_t version) MUST_USE;')
        w(f'size_t {name}_size(const struct {name} *m, int16_t version);')
        w(f'void {name}_encode(const struct {name} *m, struct wire_out *out, int16_t version);')
        w(f'extern const struct wire_shape {name}_shape;')
        w()
    w('#endif')
    return w.text()


def write_init(w, struct):
    w.open(f'void {struct.tag}_init(struct {struct.tag} *m)\n{{')
    w(f'*m = (struct {struct.tag}){{ 0 }};')
    for f in struct.fields:
        statement = f.set_default('m')
        if statement:
            w(statement)
    w.close()
    w()


def compact_of(struct):
    return truth(struct.message.flexible, struct.versions)


def min_of(field, struct):
    """C expression for the fewest bytes an element of the array takes."""
    message, since, until = struct.message, *field.versions
    chain = []
    for version in range(since, until + 1):
        flexible = message.flexible_in(version)
        size = field.struct.wire_min(version) if field.struct else PRIMITIVES[field.type][4 if flexible else 3]
        size = max(size, 1)
        if not chain or chain[-1][1] != size:
            chain.append((version, size))
    text = ''
    for version, size in reversed(chain[1:]):
        text += f'version >= {version} ? {size} : '
    return text + str(chain[0][1])


def address(lvalue):
    return lvalue[1:] if lvalue.startswith('*') else '&' + lvalue


def get_value(w, field, target, compact):
    """Reads one value, or one struct, into the lvalue target."""
    if field.struct:
        w(f'{field.struct.tag}_get({address(target)}, in, version);')
    elif field.type in SIZED:
        null = 'false' if field.array else truth(field.nullable, field.versions)
        w(f'{target} = wire_get_{PRIMITIVES[field.type][1]}(in, {compact}, {null});')
    else:
        w(f'{target} = wire_get_{PRIMITIVES[field.type][1]}(in);')


def get_field(w, field, struct, compact):
    at = f'out->{field.name}'
    if field.array:
        null = truth(field.nullable, field.versions)
        w(f'{at} = wire_get_array(in, {compact}, {null}, {min_of(field, struct)},')
        w(f'    sizeof *{at}, &{at}_len);')
        w.open(f'for (int32_t i = 0; i < {at}_len && in->err == ERR_OK; i++)')
        get_value(w, field, f'{at}[i]', compact)
        w.depth -= 1
    elif field.pointer:
        w(f'{at} = wire_get_nullable(in, sizeof *{at});')
        w.open(f'if ({at} != NULL)')
        get_value(w, field, f'*{at}', compact)
        w.depth -= 1
    else:
        if field.inline and field.tag is not None:
            w(f'out->has_{field.name} = true;')
        get_value(w, field, at, compact)


def write_get(w, struct):
    body = Lines()
    body.depth = 1
    compact = compact_of(struct)
    name = compact if compact in ('true', 'false') else 'compact'
    for f in struct.plain():
        cond, default = when(f.versions, struct.versions), f.set_default('out')
        gated = body.gate(cond)
        get_field(body, f, struct, name)
        if gated and default:
            body.close('} else {')
            body.depth += 1
            body(default)
        if gated:
            body.close()
    tagged = struct.tagged()
    for f in tagged:
        if f.set_default('out'):
            body(f.set_default('out'))
    if compact != 'false':
        gated = body.gate(None if name == 'true' else 'compact')
        write_get_tags(body, struct, tagged)
        if gated:
            body.close()
    w.open(f'static void {struct.tag}_get(struct {struct.tag} *out, struct wire_in *in, int16_t version)\n{{')
    finish(w, body, name, compact, ('out', 'in', 'version'))


def write_get_tags(w, struct, tagged):
    if not tagged:
        w('wire_skip_tags(in);')
        return
    w('struct wire_tags tags = wire_get_tags(in);')
    w('uint32_t tag;')
    w()
    w.open('while (wire_tag_next(in, &tags, &tag)) {')
    for f in tagged:
        cond = when(f.versions, struct.versions)
        w.open(f'if (tag == {f.tag}{"" if cond is None else " && " + cond}) {{')
        get_field(w, f, struct, 'true')
        w('continue;')
        w.close()
    w('wire_tag_skip(in);')
    w.close()


def finish(w, body, name, compact, params):
    """The function's body, with what it needs before and no unused parameter."""
    text = body.text() if body.lines else ''
    if name == 'compact' and re.search(r'\bcompact\b', text):
        w(f'const bool compact = {compact};')
        text_used = text + 'version'
        w()
    else:
        text_used = text
    for param in params:
        if not re.search(rf'\b{param}\b', text_used):
            w(f'(void){param};')
    w.lines += text.rstrip('\n').split('\n') if text else []
    w.close()
    w()


def put_value(w, field, source, compact):
    if field.struct:
        w(f'{field.struct.tag}_put({address(source)}, out, version);')
    elif field.type in SIZED:
        null = 'false' if field.array else truth(field.nullable, field.versions)
        amp = '&' if field.type == 'records' else ''
        w(f'wire_put_{PRIMITIVES[field.type][1]}(out, {amp}{source}, {compact}, {null});')
    else:
        w(f'wire_put_{PRIMITIVES[field.type][1]}(out, {source});')


def put_field(w, field, compact):
    at = f'm->{field.name}'
    if field.array:
        w(f'wire_put_count(out, {at}_len, {compact}, {truth(field.nullable, field.versions)});')
        w.open(f'for (int32_t i = 0; i < {at}_len; i++)')
        put_value(w, field, f'{at}[i]', compact)
        w.depth -= 1
    elif field.pointer:
        w(f'wire_put_i8(out, {at} != NULL ? 1 : -1);')
        w.open(f'if ({at} != NULL)')
        put_value(w, field, f'*{at}', compact)
        w.depth -= 1
    else:
        put_value(w, field, at, compact)


def write_put(w, struct):
    body = Lines()
    body.depth = 1
    compact = compact_of(struct)
    name = compact if compact in ('true', 'false') else 'compact'
    tagged = struct.tagged()
    for f in tagged:
        w.open(f'static void {struct.tag}_put_{f.name}(const struct {struct.tag} *m, struct wire_out *out,\n'
               f'    int16_t version)\n{{')
        payload = Lines()
        payload.depth = 1
        put_field(payload, f, 'true')
        finish(w, payload, 'true', 'true', ('version',))
    for f in struct.plain():
        gated = body.gate(when(f.versions, struct.versions))
        put_field(body, f, name)
        if gated:
            body.close()
    if compact != 'false':
        gated = body.gate(None if name == 'true' else 'compact')
        write_put_tags(body, struct, tagged)
        if gated:
            body.close()
    w.open(f'static void {struct.tag}_put(const struct {struct.tag} *m, struct wire_out *out, int16_t version)\n{{')
    finish(w, body, name, compact, ('m', 'out', 'version'))


def write_put_tags(w, struct, tagged):
    if not tagged:
        w('wire_put_uvarint(out, 0);')
        return
    for f in tagged:
        cond = when(f.versions, struct.versions)
        w(f'const bool put_{f.name} = {f.differs("m") if cond is None else cond + " && " + f.differs("m")};')
    w('struct wire_out payload;')
    w()
    w('wire_put_uvarint(out, ' + ' + '.join(f'(uint32_t)put_{f.name}' for f in tagged) + ');')
    for f in tagged:
        w.open(f'if (put_{f.name}) {{')
        w('payload = wire_out_measure();')
        w(f'{struct.tag}_put_{f.name}(m, &payload, version);')
        w(f'wire_put_tag(out, {f.tag}, payload.pos);')
        w(f'{struct.tag}_put_{f.name}(m, out, version);')
        w.close()


def write_shape(w, struct):
    tag = struct.tag
    w(f'static void {tag}_init_any(void *m)\n{{\n    {tag}_init(m);\n}}')
    w()
    if struct.fields:
        w.open(f'static const struct wire_field {tag}_fields[] = {{')
        for f in struct.fields:
            kind = 'STRUCT' if f.struct else PRIMITIVES[f.type][2]
            parts = [f'"{f.aka}"', f'&{f.struct.tag}_shape' if f.struct else 'NULL', f'WIRE_{kind}',
                     'true' if f.array else 'false', 'true' if f.pointer else 'false', *map(str, f.versions),
                     *map(str, f.nullable or (1, 0)), str(-1 if f.tag is None else f.tag),
                     f'offsetof(struct {tag}, {f.name})',
                     f'offsetof(struct {tag}, {f.name}_len)' if f.array else '0',
                     f'offsetof(struct {tag}, has_{f.name})' if f.inline and f.tag is not None else '0']
            w('{ ' + ', '.join(parts) + ' },')
        w.close('};')
    storage = '' if struct.message is struct else 'static '
    fields = f'{tag}_fields' if struct.fields else 'NULL'
    w(f'{storage}const struct wire_shape {tag}_shape = {{ "{tag}", sizeof(struct {tag}), {tag}_init_any, {fields}, '
      f'{len(struct.fields)} }};')
    w()


def write_ends(w, m):
    """The functions everybody calls."""
    name, (since, until) = m.name, m.versions
    within = f'version >= {since} && version <= {until}'
    w(f'''enum err {name}_decode(struct {name} *out, struct wire_in *in, int16_t version)
{{
    *out = (struct {name}){{ 0 }};
    if (!({within}))
        return ERR_UNSUPPORTED_VERSION;
    {name}_get(out, in, version);
    return in->err;
}}

size_t {name}_size(const struct {name} *m, int16_t version)
{{
    struct wire_out count = wire_out_measure();

    assert({within});
    {name}_put(m, &count, version);
    return count.pos;
}}

void {name}_encode(const struct {name} *m, struct wire_out *out, int16_t version)
{{
    assert({within});
    {name}_put(m, out, version);
}}
''')


def source(path, origin, messages):
    w = Lines()
    w(f'/* Generated by proto/gen.py from {origin}. */')
    w(f'#include "{path[:-2]}.h"')
    w()
    w('#include <assert.h>')
    w()
    for m in messages:
        for struct in m.structs + [m]:
            write_init(w, struct)
            write_get(w, struct)
            write_put(w, struct)
            write_shape(w, struct)
        write_ends(w, m)
    return w.text()


APIS_H = '''/*
 * Generated by proto/gen.py: every API by its key.
 *
 * A codec's functions are those of its message, for callers who do not know which message they hold.
 */
#ifndef GEN_WIRE_APIS_H
#define GEN_WIRE_APIS_H

#include "common/wire/prim.h"
#include "common/wire/shape.h"

enum api_key {
%(keys)s
    API_KEY_MAX = %(max)d, /* the highest of them */
};

struct wire_codec {
    const struct wire_shape *shape;
    void (*init)(void *m);
    enum err (*decode)(void *out, struct wire_in *in, int16_t version);
    size_t (*size)(const void *m, int16_t version);
    void (*encode)(const void *m, struct wire_out *out, int16_t version);
};

struct wire_api {
    int16_t key;
    const char *name; /* "Produce" */
    int16_t min_version, max_version;
    int16_t flexible_since;             /* INT16_MAX: never */
    size_t request_size, response_size; /* of the C structs */
    struct wire_codec request, response;
};

/* NULL when the key is unknown. */
const struct wire_api *wire_api(int16_t key);

#endif
'''

APIS_C = '''/* Generated by proto/gen.py. */
#include "gen/wire/apis.h"

%(includes)s

#define CODEC(name)                                                                                \\
    static void name##_init_any(void *m)                                                           \\
    {                                                                                              \\
        name##_init(m);                                                                            \\
    }                                                                                              \\
    static enum err name##_decode_any(void *out, struct wire_in *in, int16_t version)              \\
    {                                                                                              \\
        return name##_decode(out, in, version);                                                    \\
    }                                                                                              \\
    static size_t name##_size_any(const void *m, int16_t version)                                  \\
    {                                                                                              \\
        return name##_size(m, version);                                                            \\
    }                                                                                              \\
    static void name##_encode_any(const void *m, struct wire_out *out, int16_t version)            \\
    {                                                                                              \\
        name##_encode(m, out, version);                                                            \\
    }
#define USE(name) { &name##_shape, name##_init_any, name##_decode_any, name##_size_any, name##_encode_any }
#define API(key, text, name, since, until, flexible)                                               \\
    [key] = { key, text, since, until, flexible, sizeof(struct name##_request),                    \\
              sizeof(struct name##_response), USE(name##_request), USE(name##_response) }

%(codecs)s

static const struct wire_api apis[] = {
%(rows)s
};

const struct wire_api *wire_api(int16_t key)
{
    if (key < 0 || key > API_KEY_MAX || apis[key].name == NULL)
        return NULL;
    return &apis[key];
}
'''


def apis(readers):
    readers = sorted(readers, key=lambda r: r.key)
    both = ('request', 'response')
    names = [snake(r.api) for r in readers]
    rows = []
    for r, name in zip(readers, names):
        flexible = r.flexible[0] if r.flexible else 'INT16_MAX'
        rows.append(f'    API({r.key}, "{r.api}", {name}, {r.versions[0]}, {r.versions[1]}, {flexible}),')
    return APIS_H % {
        'keys': '\n'.join(f'    API_{name.upper()} = {r.key},' for r, name in zip(readers, names)),
        'max': readers[-1].key,
    }, APIS_C % {
        'includes': '\n'.join(f'#include "gen/wire/{name}.h"' for name in sorted(names)),
        'codecs': '\n'.join(f'CODEC({name}_{which})' for name in names for which in both),
        'rows': '\n'.join(rows),
    }


def write(out, path, text):
    """Leaves a file alone whose content would not change, so that nothing is compiled in vain."""
    path = os.path.join(out, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        with open(path, encoding='utf-8') as old:
            if old.read() == text:
                return
    with open(path, 'w', encoding='utf-8') as new:
        new.write(text)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--out', required=True, metavar='DIR')
    options.add_argument('--from', dest='source', default=HERE, metavar='DIR', help='where kafka/ and records/ are')
    args = options.parse_args()
    out, readers = args.out, []
    for folder, into in (('kafka', 'wire'), ('records', 'records')):
        path = os.path.join(args.source, folder)
        for name in sorted(os.listdir(path)) if os.path.isdir(path) else []:
            if not name.endswith('.msg'):
                continue
            reader = Reader(os.path.join(args.source, folder, name))
            origin, path = f'proto/{folder}/{name}', f'{into}/{name[:-4]}'
            write(out, path + '.h', header(f'gen/{path}.h', origin, reader.messages))
            write(out, path + '.c', source(f'gen/{path}.c', origin, reader.messages))
            if folder == 'kafka':
                readers.append(reader)
    if readers:
        for ending, text in zip(('.h', '.c'), apis(readers)):
            write(out, 'wire/apis' + ending, text)


if __name__ == '__main__':
    main()
