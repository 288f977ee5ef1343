"""Written by convrnns_brainscore 0.1.0: one literal line a model, as Brain-Score's
search needs it."""

from brainscore_vision import model_registry

from .model import get_model

model_registry['convrnn_timedecay_shallow'] = lambda: get_model('convrnn_timedecay_shallow')
model_registry['convrnn_simplernn_shallow'] = lambda: get_model('convrnn_simplernn_shallow')
model_registry['convrnn_gru_shallow'] = lambda: get_model('convrnn_gru_shallow')
model_registry['convrnn_lstm_shallow'] = lambda: get_model('convrnn_lstm_shallow')
model_registry['convrnn_intersectionrnn_shallow'] = lambda: get_model('convrnn_intersectionrnn_shallow')
model_registry['convrnn_ugrnn_shallow'] = lambda: get_model('convrnn_ugrnn_shallow')
model_registry['convrnn_rgc_shallow'] = lambda: get_model('convrnn_rgc_shallow')
model_registry['convrnn_timedecay_intermediate'] = lambda: get_model('convrnn_timedecay_intermediate')
model_registry['convrnn_simplernn_intermediate'] = lambda: get_model('convrnn_simplernn_intermediate')
model_registry['convrnn_gru_intermediate'] = lambda: get_model('convrnn_gru_intermediate')
model_registry['convrnn_lstm_intermediate'] = lambda: get_model('convrnn_lstm_intermediate')
model_registry['convrnn_intersectionrnn_intermediate'] = lambda: get_model('convrnn_intersectionrnn_intermediate')
model_registry['convrnn_ugrnn_intermediate'] = lambda: get_model('convrnn_ugrnn_intermediate')
model_registry['convrnn_ugrnn_intermediate_t30'] = lambda: get_model('convrnn_ugrnn_intermediate_t30')
model_registry['convrnn_ugrnn_intermediate_t30_dthresh'] = lambda: get_model('convrnn_ugrnn_intermediate_t30_dthresh')
model_registry['convrnn_ugrnn_intermediate_t30_tmaxconf'] = lambda: get_model('convrnn_ugrnn_intermediate_t30_tmaxconf')
model_registry['convrnn_rgc_intermediate'] = lambda: get_model('convrnn_rgc_intermediate')
model_registry['convrnn_rgc_intermediate_dthresh'] = lambda: get_model('convrnn_rgc_intermediate_dthresh')
model_registry['convrnn_rgc_intermediate_tmaxconf'] = lambda: get_model('convrnn_rgc_intermediate_tmaxconf')
model_registry['convrnn_rgc_intermediate_t22_tmaxconf'] = lambda: get_model('convrnn_rgc_intermediate_t22_tmaxconf')
