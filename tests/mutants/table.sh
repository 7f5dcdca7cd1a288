# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# table.sh: the planted defects: a name, a file, what stands there (once), what shall stand there instead, and the tests one of
# which must fail. Read by run.sh.

# ---- kernels ----

mutant norm-mean-of-product kernels/ref/norm.c 'product /= (double)C;' ';' 'kernels/test_kernels:test norm_backward'
mutant silu-slope kernels/ref/act.c 'return s + x * s * (1 - s);' 'return s;' 'kernels/test_kernels:test act_backward'
mutant gelu-constant kernels/ref/act.c 'cubic = 0.044715' 'cubic = 0.04415' 'kernels/test_kernels:test act_forward'
mutant softcap-slope kernels/ref/attention.c '*slope *= 1 - t * t;' ';' 'kernels/test_kernels:test attention_backward'
mutant attention-value-gradient kernels/ref/attention.c 'sum[D + d] += p * view_get(vdout' 'sum[D + d] += ds * view_get(vdout' \
    'kernels/test_kernels:test attention_backward'
mutant attention-sees-the-future kernels/internal.h '*last = position + 1;' '*last = position + 2;' \
    unit/test_model_parity unit/test_model_decoder
mutant attention-window kernels/internal.h '*first = position + 1 - a->window;' '*first = position - a->window;' \
    unit/test_model_parity 'kernels/test_kernels:test attention_forward' unit/test_model_decoder
mutant fast-norm-backward kernels/cpu/norm.inc 'vf p = vf_set(vf_sum(product) / (float)a->C);' \
    'vf p = vf_set(vf_sum(product));' 'kernels/test_kernels:test norm_backward'
mutant fast-loss-gradient kernels/cpu/cross_entropy.inc '/ sum - 1) * weight * slope' '/ sum) * weight * slope' \
    'kernels/test_kernels:test cross_entropy' 'kernels/test_kernels:test cross_entropy_gradient'
mutant fast-rope-back kernels/cpu/rope.inc 'if (a->inverse) si = vf_sub(vf_set(0), si);' ';' 'kernels/test_kernels:test rope'
mutant fast-rank-of-equals kernels/cpu/cross_entropy.inc 'if (v < t)' 'if (v < 0)' 'kernels/test_kernels:test cross_entropy'
mutant adam-correction kernels/ref/optimiser.c 'pow(a->beta2, (double)a->step)' 'pow(a->beta1, (double)a->step)' \
    'kernels/test_kernels:test adamw' unit/test_adamw
mutant dropout-scale kernels/ref/dropout.c 'float kept = 1 / (1 - a->p);' 'float kept = 1;' 'kernels/test_kernels:test dropout'
mutant embedding-gradient kernels/ref/embed.c '(float)(row[ids[n] * C + c] + (double)scale' '(float)((double)scale' \
    'kernels/test_kernels:test embed_backward'

# ---- gradients and the step ----

mutant rope-gradient common/model/block.c 'rotate(p, dqkv, true);' 'rotate(p, dqkv, false);' unit/test_model_gradients
mutant residual-gradient common/model/block.c 'normed, d, dx, inner);' 'normed, d, dx, none);' \
    unit/test_model_gradients
mutant dropout-place common/model/block.c 'return 2 + 2 * (uint32_t)b->layer;' 'return 1 + 2 * (uint32_t)b->layer;' \
    unit/test_model_laws
mutant loss-weights common/model/loss.c 'm->weight[n++] = b->weight[i];' 'm->weight[n++] = 1;' \
    unit/test_model_laws unit/test_model_gradients unit/test_model_parity unit/test_evaluate
mutant loss-sum common/model/loss.c '*sum += (double)m->weight[at] * (double)m->loss[at];' '*sum += (double)m->loss[at];' \
    unit/test_model_gradients unit/test_evaluate unit/test_model_laws
mutant decay-of-norms common/train/adamw.c '.decay = run->decay ?' '.decay = !run->decay ?' unit/test_adamw
mutant clipping common/train/adamw.c 'scale < 1 ? scale : 1' 'scale > 1 ? scale : 1' unit/test_trainer_parity unit/test_adamw
mutant step-number common/train/adamw.c '.step = t,' '.step = t + 1,' unit/test_adamw unit/test_trainer_parity
mutant norm-per-token common/train/trainer.c 'adamw_norm(&t->adamw, t->m) / p->scored;' 'adamw_norm(&t->adamw, t->m);' \
    unit/test_trainer_parity tests/cli/training_parity.bats
mutant batch-boundary common/train/trainer.c 'p->tokens + row.n > t->cfg->batch_tokens' 'p->tokens + row.n >= t->cfg->batch_tokens' \
    unit/test_trainer_parity tests/cli/training_parity.bats tests/laws/pretrain.bats
mutant warm-up common/train/adamw.c 'c->lr * (double)t / (double)c->warmup' 'c->lr * (double)(t + 1) / (double)c->warmup' \
    unit/test_adamw

# ---- files ----

mutant hidden-name-stays common/base/io.c 'number += cause == EEXIST && !temporary_reclaim(f->temporary);' \
    '(void)temporary_reclaim; number += cause == EEXIST;' unit/test_io
mutant hidden-name-of-the-living common/base/io.c 'bool dead = flock(fd, LOCK_EX | LOCK_NB) == 0 &&' 'bool dead = ' unit/test_io
mutant spill-with-a-name common/base/io.c '*fd = open(directory, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);' \
    '*fd = mkostemp((char[]){"../tmp/left-XXXXXX"}, O_CLOEXEC);' tests/fault/kills.bats:spilling

mutant write-error-passed-over common/base/io.c 'if (retry(fd, POLLOUT)) continue;' 'if (1) break;' 'tests/fault/fault.bats:head'
mutant old-file-gone common/base/io.c 'if (fault_here(FAULT_RENAME)) return' \
    '(void)unlink(f->path); if (fault_here(FAULT_RENAME)) return' unit/test_io

# ---- the stream reader ----

mutant no-seal formats/frame.c 'if (memcmp(p, expected, FRAME_SEAL_BYTES))' 'if (0)' unit/test_stream_damage
mutant no-table formats/frame.c 'if (!same) return' 'if (0) return' unit/test_stream_damage
mutant large-frame formats/frame.c 'if (raw > FRAME_RAW_LIMIT)' 'if (0)' unit/test_stream_hostile
mutant open-row formats/stream_reader.c 'if (r->view.open) return bad(' 'if (0) return bad(' unit/test_stream_hostile
mutant no-id formats/stream_reader.c 'if (memcmp(id, end->id, 16)) return bad(' 'if (0) return bad(' unit/test_stream_hostile
mutant no-index formats/stream_reader.c 'frame_u64(x->entries.data + at) == (uint64_t)r->begun)' '1)' \
    unit/test_stream_damage
mutant joined-begins formats/stream_reader.c 'memcmp(body.data, r->body.data, body.len)) {' '0) {' 'tests/cli/stream_plumbing.bats:do not belong'
mutant lengths formats/record.c 'if (total * size != cell->bytes)' 'if (total * size > cell->bytes)' unit/test_stream_hostile
mutant once-more-from-the-middle formats/stream_reader.c 'r->rows = r->segment = 0;' ';' unit/test_stream
mutant deep-values formats/msgpack.c 'if (depth > MP_MAX_DEPTH) return' 'if (0) return' unit/test_msgpack
mutant keys-twice formats/msgpack.c 'if (keys[k].len == keys[i].len &&' 'if (0 &&' unit/test_msgpack
mutant row-around-a-gap formats/stream_salvage.c 'rows_view_reset(&r->view); /* what comes next may be of another row */' ';' \
    unit/test_stream_salvage

# ---- going on from a checkpoint ----

mutant resume-moments common/train/checkpoint.c 'c->adamw->m, c->adamw->v, c->best}' 'c->adamw->m, c->adamw->m, c->best}' \
    'tests/laws/pretrain.bats:k steps'
mutant resume-position common/train/trainer.c 'TRY(feed_skip(e, &t->feed, t->s.rows, t->s.digest));' ';' \
    'tests/laws/pretrain.bats:k steps'
mutant resume-other-rows common/train/feed.c 'if (memcmp(found, digest, 16) != 0)' 'if (0)' tests/cli/pretrain.bats
mutant resume-refresh common/train/checkpoint.c 'if (r == ERR_OK) model_refresh(c->model);' ';' 'tests/laws/pretrain.bats:k steps'
mutant resume-validation common/train/trainer.c 'due && t->s.val_last_step < t->s.step)' 'due)' \
    'tests/laws/pretrain.bats:killed again' tests/cli/pretrain.bats
mutant resume-options common/train/checkpoint.c 'if (strcmp(v->as.bytes.data, now->value) != 0)' 'if (0)' tests/cli/pretrain.bats
mutant resume-log common/train/trainlog.c 'ftruncate(l->fd, l->offset) != 0 ||' '' \
    'tests/cli/pretrain.bats:cut back'
mutant resume-count common/train/trainer.c 't->s.rows = t->feed.used;' 't->s.rows = t->feed.used - 1;' \
    'tests/laws/pretrain.bats:k steps'
mutant checkpoint-lock common/train/checkpoint.c 'if (flock(c->lock, LOCK_EX | LOCK_NB) != 0) {' 'if (0) {' tests/cli/pretrain.bats

mutant checkpoint-version common/train/checkpoint.c 'TRY(check_text(e, &b->meta, "version", c->run->step.version, "version"));' ';' \
    tests/cli/pretrain.bats
mutant checkpoint-numbers common/train/checkpoint.c 'if (!isfinite(x[i]))' 'if (0)' tests/fault/hostile.bats:checkpoint

# ---- sampling ----

mutant top-p-total common/use/sampler.c 'above < s->cfg.top_p * total' 'above < s->cfg.top_p' unit/test_sampler
mutant penalty-of-negatives common/use/sampler.c 's->score[id] / s->cfg.repetition : s->score[id] * s->cfg.repetition;' \
    's->score[id] / s->cfg.repetition : s->score[id] / s->cfg.repetition;' unit/test_sampler
mutant top-k-of-equals common/use/sampler.c 'if (s->score[v] < last)' 'if (s->score[v] <= last)' unit/test_sampler
mutant scores-not-numbers common/use/sampler.c 'bad |= !(logits[v] < INFINITY);' 'bad |= 0;' unit/test_sampler
mutant min-p common/use/sampler.c 'if (s->weight[v] < s->cfg.min_p)' 'if (s->weight[v] > s->cfg.min_p)' unit/test_sampler
mutant exp-of-octaves kernels/cpu/softmax.inc '(doubles_bits)shifted << 52' '(doubles_bits)shifted << 51' unit/test_sampler
mutant draw-of-zero common/use/sampler.c 'sum <= goal; v++' 'sum < goal; v++' unit/test_sampler

# ---- labels ----

mutant label-order formats/labels.c 'qsort(l->classes, (size_t)count, sizeof *l->classes, compare_names);' ';' unit/test_labels
mutant label-index formats/labels.c 'if (index >= -1 && index < l->classes_count) return' 'if (index >= -1) return' unit/test_labels
mutant label-again common/text/rows.c 'i = f->from + f->again;' 'i = f->from;' 'tests/cli/labels.bats:first piece'
mutant completion-end common/text/rows.c 'if (p - before == k->count) return true;' 'if (p - before == k->count) return false;' \
    'tests/cli/labels.bats:prompts'
mutant stratum-shift common/flow/strata.c '1, 0) * weight(order[0]);' '1, 0) * 0;' 'tests/cli/labels.bats:many small'
mutant split-twice common/flow/split_audit.c 'if (cut != 0 || !is_looked_at(a, doc)) return ERR_OK;' \
    'if (!is_looked_at(a, doc)) return ERR_OK;' unit/test_split_audit
mutant class-sample-twice common/flow/class_sample.c '*out = entry->count == 0;' '*out = true;' 'tests/cli/labels.bats:per-class: so'

# ---- text ----

mutant csv-quotes formats/csv.c "if (q == NULL || end + 1 >= n || data[end + 1] != '\"')" 'if (1)' tests/cli/text.bats

# ---- models and tokenizers of other programs ----

mutant import-turned-around common/convert/match.c 'const uint8_t *from = t->data + (size_t)i * line + (size_t)first * size;' \
    'const uint8_t *from = t->data + (size_t)i * line;' unit/test_match
mutant import-pieces common/convert/match.c 'hand_out(r, t->data + at,' 'hand_out(r, t->data + 0 * at,' unit/test_match
mutant import-types common/convert/match.c 'row + dtype_offset(t, at), n, some);' 'row, n, some);' unit/test_match
mutant import-heads common/convert/match.c 'return (3 * head + which) * D + i % D;' 'return (which * c->heads + head) * D + i % D;' \
    unit/test_family_parity
mutant import-not-finite common/convert/match.c '*r->bad += values_not_finite(' '(void)values_not_finite(' unit/test_import_damage
mutant import-pairs common/convert/match.c 'return i - in_head + 2 * (in_head % (D / 2)) + half;' 'return i + 0 * half;' unit/test_match
mutant import-tokenizer-too-large common/convert/model_source.c 's->tokenizer.vocab <= s->x.c.vocab' 'true' \
    'tests/cli/import.bats:more tokens'
mutant import-gap formats/tensor_file.c 'if (begin - at != pad)' 'if (0 * pad)' unit/test_tensor_files
mutant import-overlap formats/tensor_file.c 'if (begin < at)' 'if (0)' unit/test_tensor_files
mutant import-endless-layers common/convert/family_shared.c 'if (x->c.layers > LAYERS_MOST) return ERR_OK;' ';' \
    'tests/cli/import.bats:sizes beyond'
mutant import-commands common/convert/findings.c 'err_tidy(line);' ';' 'tests/cli/import.bats:a key that is not known'
mutant import-outside formats/safetensors.c '!strchr(name, '"'/'"') &&' '' unit/test_tensor_files
mutant rope-linear common/model/rope.c '(float)(1 / plain(c, base, i)) / (float)c->rope_factor;' '(float)(1 / plain(c, base, i));' \
    unit/test_family_parity
mutant rope-dynamic common/model/rope.c '(c->rope_factor - 1)' '(c->rope_factor)' unit/test_family_parity
mutant rope-yarn common/model/rope.c 'low = floor(low);' ';' unit/test_rope
mutant rope-yarn-attention common/convert/family_shared.c 'return 0.1 * log(factor) + 1;' 'return 1;' unit/test_family_parity
mutant rope-llama3 common/model/rope.c 'if (wavelength < original / high) return frequency;' ';' unit/test_rope
mutant rope-longrope common/model/rope.c 'beyond ? c->rope_long.items : c->rope_short.items' 'c->rope_short.items' unit/test_family_parity
mutant windows-by-layer common/convert/family_shared.c '!(every && (layer + 1) % every == 0)' 'true' \
    'tests/cli/import.bats:windows by their rule'

mutant block-q4_0 kernels/ref/values.c 'to[i + 16] = (float)((p[2 + i] >> 4) - 8) * d;' 'to[i + 16] = (float)((p[2 + i] >> 4) - 7) * d;' \
    unit/test_values
mutant block-q5_1 kernels/ref/values.c 'to[i + 16] = (float)high5(p + 8, fifth, i) * d + m;' \
    'to[i + 16] = (float)low5(p + 8, fifth, i) * d + m;' unit/test_values
mutant block-q4_k kernels/ref/values.c '*scale = (float)((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);' '*scale = (float)(s[j + 4] & 15);' \
    unit/test_values
mutant block-q6_k kernels/ref/values.c 'const int shift = k % 4 / 2 * 4, pair = k % 4 * 2;' 'const int shift = k % 2 * 4, pair = k % 4 * 2;' \
    unit/test_values
mutant quantise-rounding common/base/quantise.c 'x[i] * inverse + 8.5f' 'x[i] * inverse + 8.4f' unit/test_quantise
mutant quantise-sign common/base/quantise.c 'const float d = most / -8,' 'const float d = fabsf(most) / -8,' unit/test_quantise

mutant merges-sides common/text/import_tokenizer_json.c 'id_of(m, left), (uint32_t)id_of(m, right)' \
    'id_of(m, right), (uint32_t)id_of(m, left)' unit/test_tokenizer_import
mutant unigram-unknown common/text/unigram.c '(n > 0 ? (double)least : 0) - 10;' '(n > 0 ? (double)least : 0) + 100;' unit/test_tokenizer_import
mutant chat-loss-of-others common/text/chat_documents.c '(json_object_get(m, "role")), "assistant") == 0)' '(json_object_get(m, "role")), "x") != 0)' \
    tests/cli/chat.bats
mutant chat-turn-end common/text/chat_documents.c 'if (n > 0) return at + n;' 'if (n > 0) return at;' tests/cli/chat.bats

# ---- what models are used for ----

mutant pooling-weights common/model/pooling.c 'how == POOLING_WEIGHTED_MEAN ? (double)(place + 1) : 1;' '1 + 0 * (int)(how + place);' \
    unit/test_model_tasks tests/cli/features.bats
mutant pooling-cls common/model/pooling.c '*last = how == POOLING_CLS ? first : first + n - 1;' '*last = first + n - 1;' \
    unit/test_model_tasks tests/cli/features.bats
mutant pooling-last common/model/pooling.c '*from = how == POOLING_LAST ? first + n - 1 : how' '*from = how' \
    unit/test_model_tasks tests/cli/features.bats
mutant pooling-prompt common/model/pooling.c 'how == POOLING_CLS ? first : first + skip;' 'first + 0 * skip;' \
    unit/test_model_tasks tests/cli/features.bats
mutant pooling-maximum-back common/model/pooling.c 'd[best * s->width + c] += dx[c];' 'd[first * s->width + c] += dx[c];' unit/test_model_tasks
mutant logits-rest common/use/logprobs.c 'd->weight[id] = 0;' ';' tests/cli/logits.bats
mutant logits-temperature common/use/logprobs.c '(double)scores[v] / l->cfg.temperature;' '(double)scores[v];' tests/cli/logits.bats
mutant eval-half common/judge/evaluate.c 'start + most / 2 + 1));' 'start + most / 2));' tests/cli/score.bats
mutant eval-rolling common/judge/evaluate.c 'const int64_t start = done == 1 ? 0 : next - most - 1;' 'const int64_t start = done - 1;' \
    tests/cli/score.bats
mutant score-shared-offset common/model/shared_rows.c 's->q_offset[place] = before;' 's->q_offset[place] = 0;' \
    unit/test_shared_rows tests/cli/score.bats
mutant score-shared-turn common/model/shared_rows.c 'r->turn++;' 'r->turn = 0;' unit/test_shared_rows
mutant generate-shared common/model/decoder.c 'if (shared % piece == piece - 1) shared--;' 'shared = alike;' tests/cli/generate.bats
mutant score-tokens common/use/scoring.c 't + 1 >= n - scored ?' 't >= n - scored ?' tests/cli/score.bats
mutant score-greedy common/use/scoring.c 'r->greedy &= s->rank[i] < 1;' ';' tests/cli/score.bats
mutant score-windows common/use/scoring.c 'const int64_t start = done == 0 ? 0 : next - most;' 'const int64_t start = done;' tests/cli/score.bats
mutant score-prefix common/use/scoring.c 'TRY(encode(e, s, d->text, stripped, true, &s->part));' \
    'TRY(encode(e, s, d->text, d->n + 0 * stripped, true, &s->part));' tests/cli/score.bats

# ---- adapters and heads ----

mutant lora-scale common/model/linear.c 'k->scale(k, N, p->rank, p->scale, low);' ';' unit/test_model_adapter unit/test_model_gradients
mutant lora-scale-back common/model/linear.c 'k->scale(k, N, p->rank, p->scale, dlow);' ';' unit/test_model_gradients
mutant lora-dropout-back common/model/linear.c '(void)dropped(k, N, l->in, to, dx, w);' \
    'k->convert(k, N, l->in, to, dx);' unit/test_model_gradients
mutant lora-over-rows common/model/linear.c '.beta = p->again ? 1 : 0,' '.beta = 0,' unit/test_model_adapter unit/test_model_gradients
mutant lora-rows common/model/adapter.c '{MATRIX_QKV, C, q + kv, kv};' '{MATRIX_QKV, C, q, kv};' unit/test_model_gradients unit/test_adapter_file
mutant adapter-base common/model/adapter_file.c 'if (memcmp(base, model_id(m), 16) == 0) return ERR_OK;' 'if (base) return ERR_OK;' \
    unit/test_adapter_file tests/cli/lora.bats
mutant adapter-weight common/model/adapter_file.c 'part.scale *= weight_of(a, source);' ';' unit/test_adapter_file tests/cli/lora.bats
mutant frozen-too-early common/model/passes.c 'l >= m->lowest; l--' 'l > m->lowest; l--' unit/test_model_frozen
mutant frozen-moves common/train/adamw.c 'if (p->gradient < 0) continue;' ';' unit/test_model_frozen
mutant head-weights common/model/task.c 'y[i] *= weight;' ';' unit/test_model_tasks
mutant head-several common/model/task.c '(is ? 1 : 0)) / (double)n);' '(is ? 1 : 0)));' unit/test_model_tasks
mutant head-map common/train/goal_task.c 'out->cls = cls < 0 ? 0 : s->map[cls];' 'out->cls = cls < 0 ? 0 : cls;' tests/cli/tasks.bats
mutant minimise-curve common/train/minimise.c 'm->rho[m->next] = 1 / curve;' 'm->rho[m->next] = curve;' unit/test_minimise
