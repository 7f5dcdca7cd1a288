/* SPDX-License-Identifier: Apache-2.0 */
/* chat_documents.h: conversations of JSON lines as documents: the text a template makes of one, and
 * which parts of it the assistant says.
 *
 *   {"messages": [{"role": "user", "content": ..}, {"role": "assistant", "content": ..}, ..]}
 *
 * Beside the messages a record may have tools, documents (what the template is given under these
 * names) and chat_template_kwargs (an object of further variables). A line may also be the bare
 * list of messages.
 *
 * What the assistant says: with a template that has {% generation %} blocks, what they give.
 * Otherwise of each message whose role is "assistant", all between its first and its last byte that
 * the template puts out, and the special token that ends the turn: the one behind it, when but
 * white space stands between (or, behind calls of tools, whatever the template adds to them). */
#ifndef GRAFT_TEXT_CHAT_DOCUMENTS_H
#define GRAFT_TEXT_CHAT_DOCUMENTS_H

#include "common/base/opts.h"
#include "common/text/chat_template.h"
#include "common/text/document.h"
#include "formats/tokenizer.h"

struct chat_cfg {
    bool on;
    const char *template; /* a file or a name; NULL: the tokenizer's own */
    bool generation_prompt;
    const char *today;
};
/* Options --chat --chat-template --generation-prompt --date. */
extern const struct opt chat_opts[];
/* The same for programs that answer: --chat --chat-template --date. */
extern const struct opt chat_answer_opts[];
/* ERR_USAGE: an option that does not go with these. */
enum err chat_cfg_check(struct errctx *e, const struct chat_cfg *cfg,
                        const struct documents_cfg *documents) MUST_USE;

struct chat;
/* Reads the template, as an input of the run; `spec` is borrowed, `name` is the tokenizer's file.
 * ERR_INPUT: there is none, or it cannot be used. */
enum err chat_new(struct errctx *e, struct run *run, const struct chat_cfg *cfg,
                  const struct tokenizer_spec *spec, const char *name, struct chat **out) MUST_USE;
void chat_free(struct chat *c);
/* Conversations in which the assistant says nothing. */
uint64_t chat_silent(const struct chat *c);

/* The conversation of a line: out->text, ->n and ->scored are views until the next call. `key`: the
 * field of the messages. *object: the record, NULL of a bare list; the caller's. */
enum err chat_document(struct errctx *e, struct chat *c, const char *line, size_t n,
                       uint64_t number, const char *key, struct document *out,
                       json_t **object) MUST_USE;
/* That of one message, which the user says. */
enum err chat_question(struct errctx *e, struct chat *c, const char *text, uint64_t number,
                       struct document *out) MUST_USE;

#endif
