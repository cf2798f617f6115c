"""OpenAI's chat completions as JSON: what goes in, what is refused, and what comes out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from server.rest.shapes import TURNS, Strict, Whole, whole

AtLeastOne = Annotated[int, Field(ge=1), BeforeValidator(whole)]


class Part(Strict):
    """A part of a message: text is read, pictures and sound are not."""

    type: Literal["text"]
    text: str = Field(pattern=r"\w")


class UserMessage(Strict):
    """A sentence."""

    role: Literal["user"]
    content: str | list[Part]
    name: str | None = None


class AssistantMessage(Strict):
    """An answer. Only calls are read."""

    role: Literal["assistant"]
    content: str | list[Part] | None = None
    refusal: str | None = None
    name: str | None = None


class SystemMessage(Strict):
    """Passed over: the prompt is the server's own."""

    role: Literal["system", "developer"]
    content: str | list[Part]
    name: str | None = None


ChatMessage = Annotated[UserMessage | AssistantMessage | SystemMessage, Field(discriminator="role")]


class StreamOptions(Strict):
    """What goes with a stream."""

    include_usage: bool = False
    include_obfuscation: bool = Field(default=False, description="Passed over.")


class TextFormat(Strict):
    """The only format of a response."""

    type: Literal["text"]


class ChatRequest(Strict):
    """OpenAI's request. Settings of sampling and of accounts are passed over; other keys are refused."""

    model: str = Field(description="An API's name, or an API's and a model's.", examples=["mygene"])
    messages: list[ChatMessage] = Field(
        min_length=1, max_length=TURNS, examples=[[{"role": "user", "content": "uniprot id of human CDK2"}]]
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Whole | None = Field(default=None, description="Choices at most: answers that mean the same are one.")
    max_tokens: AtLeastOne | None = Field(default=None, description="Tokens of the answer; the server's limit stays.")
    max_completion_tokens: AtLeastOne | None = Field(default=None, description="The same.")
    response_format: TextFormat | None = None
    temperature: Any = Field(default=None, description="Passed over.")
    top_p: Any = Field(default=None, description="Passed over.")
    seed: Any = Field(default=None, description="Passed over.")
    presence_penalty: Any = Field(default=None, description="Passed over.")
    frequency_penalty: Any = Field(default=None, description="Passed over.")
    user: Any = Field(default=None, description="Passed over: who asks is known otherwise.")
    metadata: Any = Field(default=None, description="Passed over.")
    store: Any = Field(default=None, description="Passed over.")
    service_tier: Any = Field(default=None, description="Passed over.")
    reasoning_effort: Any = Field(default=None, description="Passed over.")
    verbosity: Any = Field(default=None, description="Passed over.")
    safety_identifier: Any = Field(default=None, description="Passed over.")
    prompt_cache_key: Any = Field(default=None, description="Passed over.")


class About(BaseModel):
    """What OpenAI's form has no place for."""

    ok: bool = Field(description="Whether the content is a call to the API.")
    path: str = Field(description="The call.")
    reason: str
    explanation: list[str]
    url: str
    confidence: float | None
    abstained: bool = False
    answer: int | None = Field(default=None, description="Id for POST /v1/feedback.")
    not_kept: str | None = Field(default=None, description="Why the answer was not kept.")


class Said(BaseModel):
    """The answer's message."""

    role: str = "assistant"
    content: str | None
    refusal: str | None = None


class ChatChoice(BaseModel):
    """One answer."""

    index: int
    message: Said
    logprobs: None = None
    finish_reason: Literal["stop", "length"]
    querywright: About


class Usage(BaseModel):
    """Tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatReply(BaseModel):
    """OpenAI's answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
