"""A stream of tokens."""

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceResponse
from tasks import tokens


class Streaming(MLModel):
    """Answers token by token."""

    async def predict_stream(self, payloads):
        """Yield a response for each token."""
        async for _ in payloads:
            for token in tokens():
                output = StringCodec.encode_output("token", [token])
                yield InferenceResponse(model_name=self.name, outputs=[output])
