/* SPDX-License-Identifier: Apache-2.0 */
/* family_bert.c: BERT and its kin: RoBERTa and XLM-R (positions counted from behind the padding's
 * id), DistilBERT (no token types, names of its own). Where the tensors of the masked head are not
 * there, the model has none. */
#include "common/convert/family_tables.h"

static const struct key_rule common_keys[] = {
    {"max_position_embeddings", KEY_INT, KEY_AT(positions), NULL, KEY_NEEDED},
    {"hidden_act", KEY_ACT, KEY_C(act)},
    {"layer_norm_eps", KEY_REAL, KEY_C(norm_eps)},
    {"type_vocab_size", KEY_INT, KEY_C(types)},
    {"position_embedding_type", KEY_MUST, 0, "\"absolute\"|null", KEY_READ},
    {"add_cross_attention", KEY_MUST, 0, "false"},
    {"attention_probs_dropout_prob", KEY_NOTHING},
    {"hidden_dropout_prob", KEY_NOTHING},
    {"classifier_dropout", KEY_NOTHING},
    KEY_RULES_END};

static const struct key_rule bert_keys[] = {
    /* Of the pooler, which nothing here uses; the first BERT files have them. */
    {"directionality", KEY_MUST, 0, "\"bidi\"", KEY_READ},
    {"pooler_fc_size", KEY_NOTHING},
    {"pooler_num_attention_heads", KEY_NOTHING},
    {"pooler_num_fc_layers", KEY_NOTHING},
    {"pooler_size_per_head", KEY_NOTHING},
    {"pooler_type", KEY_NOTHING},
    KEY_RULES_END};

static const struct key_rule roberta_keys[] = {{"output_past", KEY_NOTHING}, KEY_RULES_END};

static const struct key_rule distilbert_keys[] = {
    {"dim", KEY_INT, KEY_C(width), NULL, KEY_NEEDED},
    {"n_layers", KEY_INT, KEY_C(layers), NULL, KEY_NEEDED},
    {"n_heads", KEY_INT, KEY_C(heads), NULL, KEY_NEEDED},
    {"hidden_dim", KEY_INT, KEY_C(mlp), NULL, KEY_NEEDED},
    {"max_position_embeddings", KEY_INT, KEY_AT(positions), NULL, KEY_NEEDED},
    {"activation", KEY_ACT, KEY_C(act)},
    {"sinusoidal_pos_embds", KEY_NOTHING}, /* how the table began; it is stored all the same */
    {"attention_dropout", KEY_NOTHING},
    {"dropout", KEY_NOTHING},
    {"qa_dropout", KEY_NOTHING},
    {"seq_classif_dropout", KEY_NOTHING},
    {"tie_weights_", KEY_MUST, 0, "true", KEY_READ},
    KEY_RULES_END};

static const struct tensor_rule common_tensors[] = {
    {"embeddings.word_embeddings.weight", "embed.tokens.weight"},
    {"embeddings.position_embeddings.weight", "embed.positions.weight"},
    {"embeddings.token_type_embeddings.weight", "embed.types.weight"},
    {"embeddings.LayerNorm.*", "embed.norm.*"},
    {"encoder.layer.%.attention.self.query.*", "layers.%.attention.qkv.*", PART_Q},
    {"encoder.layer.%.attention.self.key.*", "layers.%.attention.qkv.*", PART_K},
    {"encoder.layer.%.attention.self.value.*", "layers.%.attention.qkv.*", PART_V},
    {"encoder.layer.%.attention.output.dense.*", "layers.%.attention.out.*"},
    {"encoder.layer.%.attention.output.LayerNorm.*", "layers.%.norm1.*"},
    {"encoder.layer.%.intermediate.dense.*", "layers.%.mlp.up.*"},
    {"encoder.layer.%.output.dense.*", "layers.%.mlp.down.*"},
    {"encoder.layer.%.output.LayerNorm.*", "layers.%.norm2.*"},
    {"embeddings.position_ids", NULL},
    {"embeddings.token_type_ids", NULL},
    {"pooler.dense.*", NULL}, /* of whole texts, trained for other tasks */
    TENSOR_RULES_END};

static const struct tensor_rule bert_tensors[] = {
    {"cls.predictions.transform.dense.*", "head.dense.*", PART_ALL, TENSOR_BARE},
    {"cls.predictions.transform.LayerNorm.*", "head.norm.*", PART_ALL, TENSOR_BARE},
    {"cls.predictions.bias", "head.bias", PART_ALL, TENSOR_BARE},
    {"cls.predictions.decoder.bias", "head.bias", PART_ALL, TENSOR_BARE | TENSOR_READ},
    {"cls.predictions.decoder.weight", "head.weight", PART_ALL, TENSOR_BARE},
    {"cls.seq_relationship.*", NULL, PART_ALL, TENSOR_BARE},
    TENSOR_RULES_END};

static const struct tensor_rule roberta_tensors[] = {
    {"lm_head.dense.*", "head.dense.*", PART_ALL, TENSOR_BARE},
    {"lm_head.layer_norm.*", "head.norm.*", PART_ALL, TENSOR_BARE},
    {"lm_head.bias", "head.bias", PART_ALL, TENSOR_BARE},
    {"lm_head.decoder.bias", "head.bias", PART_ALL, TENSOR_BARE | TENSOR_READ},
    {"lm_head.decoder.weight", "head.weight", PART_ALL, TENSOR_BARE},
    TENSOR_RULES_END};

static const struct tensor_rule distilbert_tensors[] = {
    {"embeddings.word_embeddings.weight", "embed.tokens.weight"},
    {"embeddings.position_embeddings.weight", "embed.positions.weight"},
    {"embeddings.LayerNorm.*", "embed.norm.*"},
    {"transformer.layer.%.attention.q_lin.*", "layers.%.attention.qkv.*", PART_Q},
    {"transformer.layer.%.attention.k_lin.*", "layers.%.attention.qkv.*", PART_K},
    {"transformer.layer.%.attention.v_lin.*", "layers.%.attention.qkv.*", PART_V},
    {"transformer.layer.%.attention.out_lin.*", "layers.%.attention.out.*"},
    {"transformer.layer.%.sa_layer_norm.*", "layers.%.norm1.*"},
    {"transformer.layer.%.ffn.lin1.*", "layers.%.mlp.up.*"},
    {"transformer.layer.%.ffn.lin2.*", "layers.%.mlp.down.*"},
    {"transformer.layer.%.output_layer_norm.*", "layers.%.norm2.*"},
    {"vocab_transform.*", "head.dense.*", PART_ALL, TENSOR_BARE},
    {"vocab_layer_norm.*", "head.norm.*", PART_ALL, TENSOR_BARE},
    {"vocab_projector.bias", "head.bias", PART_ALL, TENSOR_BARE},
    {"vocab_projector.weight", "head.weight", PART_ALL, TENSOR_BARE},
    {"embeddings.position_ids", NULL},
    TENSOR_RULES_END};

#define BASE_BERT                                                                                  \
    .norm = NORM_LAYER, .norm_eps = 1e-12, .norm_post = true, .embed_norm = true,                  \
    .position = POSITION_LEARNED, .qkv_bias = true, .out_bias = true, .mlp_bias = true,            \
    .act = ACT_GELU, .tied = true, .mlm_head = true, .init_std = 0.02
static const struct family_config bert_base = {.c = {.arch = "bert", BASE_BERT, .types = 2}};
static const struct family_config roberta_base = {.c = {.arch = "roberta", BASE_BERT, .types = 2},
                                                  .pad = 1};
static const struct family_config distilbert_base = {.c = {.arch = "distilbert", BASE_BERT}};

/* ------------------------------------------------------------------ both ways */

static enum err bert_finish(struct errctx *e, struct family_config *x, struct findings *f)
{
    (void)e;
    (void)f;
    x->c.context = x->positions;
    return ERR_OK;
}

static void bert_unfinish(struct family_config *x)
{
    x->positions = x->c.context + x->c.position_offset;
}

/* Places count from pad + 1, so that the table has so many rows more than there are places. The
 * head's activation is always gelu. */
static enum err roberta_finish(struct errctx *e, struct family_config *x, struct findings *f)
{
    if (x->pad < 0 || x->pad > 1000)
        return findings_add(e, f,
                            "config.json: key 'pad_token_id' is %lld, and places are counted "
                            "from behind it",
                            (long long)x->pad);
    x->c.position_offset = x->pad + 1;
    x->c.context = x->positions - x->c.position_offset;
    if (x->c.context < 1)
        return findings_add(e, f,
                            "config.json: key 'max_position_embeddings' is %lld, of which "
                            "the padding takes %lld",
                            (long long)x->positions, (long long)x->c.position_offset);
    if (x->c.act != ACT_GELU && x->c.mlm_head)
        return findings_add(e, f,
                            "config.json: key 'hidden_act' is not \"gelu\", which the head "
                            "has all the same");
    return ERR_OK;
}

static void roberta_unfinish(struct family_config *x)
{
    x->positions = x->c.context + x->c.position_offset;
    x->pad = x->c.position_offset - 1;
}

const struct family family_bert = {.name = "bert",
                                   .architecture = "BertForMaskedLM",
                                   .body = "BertModel",
                                   .prefix = "bert.",
                                   .base = &bert_base,
                                   .keys = {keys_shape, common_keys, bert_keys, keys_everywhere},
                                   .tensors = {common_tensors, bert_tensors},
                                   .finish = bert_finish,
                                   .unfinish = bert_unfinish};
const struct family family_roberta = {
    .name = "roberta",
    .architecture = "RobertaForMaskedLM",
    .body = "RobertaModel",
    .prefix = "roberta.",
    .base = &roberta_base,
    .keys = {keys_shape, common_keys, roberta_keys, keys_everywhere},
    .tensors = {common_tensors, roberta_tensors},
    .finish = roberta_finish,
    .unfinish = roberta_unfinish};
const struct family family_xlm_roberta = {
    .name = "xlm-roberta",
    .architecture = "XLMRobertaForMaskedLM",
    .body = "XLMRobertaModel",
    .prefix = "roberta.",
    .base = &roberta_base,
    .keys = {keys_shape, common_keys, roberta_keys, keys_everywhere},
    .tensors = {common_tensors, roberta_tensors},
    .finish = roberta_finish,
    .unfinish = roberta_unfinish};
const struct family family_distilbert = {.name = "distilbert",
                                         .architecture = "DistilBertForMaskedLM",
                                         .body = "DistilBertModel",
                                         .prefix = "distilbert.",
                                         .base = &distilbert_base,
                                         .keys = {distilbert_keys, keys_everywhere},
                                         .tensors = {distilbert_tensors},
                                         .finish = bert_finish,
                                         .unfinish = bert_unfinish};
