"""What customers are asked and what they answer: surveys, responses, and their rules."""

from feedback_service.domain.response import Response, ResponseFacts
from feedback_service.domain.survey import LONGEST_TEXT, MOST_CHOICES, Question, Survey, check_questions

__all__ = ["LONGEST_TEXT", "MOST_CHOICES", "Question", "Response", "ResponseFacts", "Survey", "check_questions"]
