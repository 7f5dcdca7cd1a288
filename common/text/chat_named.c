/* SPDX-License-Identifier: Apache-2.0 */
/* chat_named.c: templates by name, word for word as the models have them, for tokenizers that come
 * without one: a model understands no other wording than its own. Sources: tokenizer_config.json of
 * HuggingFaceTB/SmolLM2-135M-Instruct, HuggingFaceH4/zephyr-7b-beta, meta-llama/Llama-2-7b-chat-hf,
 * meta-llama/Meta-Llama-3-8B-Instruct, mistralai/Mistral-7B-Instruct-v0.1,
 * Qwen/Qwen2-0.5B-Instruct, microsoft/Phi-3-mini-4k-instruct, google/gemma-2b-it. */
#include <string.h>
#include "common/text/chat_template.h"

/* clang-format off */
static const struct {
    const char *name, *source;
} named[] = {
    {"chatml",
     "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['c"
     "ontent'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_"
     "start|>assistant\\n' }}{% endif %}"},
    {"zephyr",
     "{% for message in messages %}\n"
     "{% if message['role'] == 'user' %}\n"
     "{{ '<|user|>\\n' + message['content'] + eos_token }}\n"
     "{% elif message['role'] == 'system' %}\n"
     "{{ '<|system|>\\n' + message['content'] + eos_token }}\n"
     "{% elif message['role'] == 'assistant' %}\n"
     "{{ '<|assistant|>\\n'  + message['content'] + eos_token }}\n"
     "{% endif %}\n"
     "{% if loop.last and add_generation_prompt %}\n"
     "{{ '<|assistant|>' }}\n"
     "{% endif %}\n"
     "{% endfor %}"},
    {"llama2",
     "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set"
     " system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages"
     " %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% i"
     "f (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conver"
     "sation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if l"
     "oop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system"
     "_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = mes"
     "sage['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST"
     "] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '"
     "  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"},
    {"llama3",
     "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content ="
     " '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['conte"
     "nt'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + c"
     "ontent %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|sta"
     "rt_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"},
    {"mistral",
     "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (lo"
     "op.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/ass"
     "istant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST"
     "] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ "
     "message['content'] + eos_token}}{% else %}{{ raise_exception('Only user and assistan"
     "t roles are supported!') }}{% endif %}{% endfor %}"},
    {"qwen2",
     "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
     "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}{{'"
     "<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}"
     "}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif "
     "%}"},
    {"smollm2",
     "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
     "{{ '<|im_start|>system\\nYou are a helpful AI assistant named SmolLM, trained by Hug"
     "ging Face<|im_end|>\\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\\n' + me"
     "ssage['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{"
     "{ '<|im_start|>assistant\\n' }}{% endif %}"},
    {"phi3",
     "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\\n' +"
     " message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'user' %}{{'<|user|>"
     "\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'assistant' %}{"
     "{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endif %}{% endfor %}{% i"
     "f add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif "
     "%}"},
    {"gemma",
     "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System ro"
     "le not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] "
     "== 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must a"
     "lternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == "
     "'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% "
     "endif %}{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_t"
     "urn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{%"
     " endif %}"},
};
/* clang-format on */

const char chat_template_names[] =
    "chatml, zephyr, llama2, llama3, mistral, qwen2, smollm2, phi3, gemma";

const char *chat_template_named(const char *name)
{
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        if (strcmp(named[i].name, name) == 0) return named[i].source;
    return NULL;
}
